import { equal, eventually, includes } from "../../lib/assert.ts";
import { type Compose, createCompose, hasComposeV1 } from "../../lib/compose.ts";
import { lookup } from "../../lib/dns.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";
import { copyStack, fetchText, loadStackImages, nothingLeft, request } from "../../lib/stacks.ts";
import { decodeReply, encodeCall, type Value } from "./xml-rpc.ts";

const PROJECT = "blog";
/** WordPress knows itself by the name it was installed under, whatever port leads to it. */
const HOST = `wordpress.${PROJECT}.fd.local`;
const USER = "editor";
const PASSWORD = "s3cret-Passw0rd";
const TEXT = "Written before down, read after up.";
const IMAGE = Buffer.from("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "base64");

const composeOf = (lab: Lab, version: 1 | 2 = 2, project = PROJECT) =>
	createCompose(lab, { stack: `${lab.directory}/stack`, project, version });

async function visit(compose: Compose, path: string, init: BunFetchRequestInit = {}) {
	return await request(compose, ["wordpress", 80], path, { ...init, headers: { Host: HOST, ...init.headers } });
}

/** A post's page: WordPress leads from its number to its title. */
async function postPage(compose: Compose, post: string): Promise<string> {
	const first = await visit(compose, `/?p=${post}`);
	const location = first.headers.get("location");
	const { status, body } = location === null ? first : await visit(compose, new URL(location).pathname);
	if (status !== 200) throw new Error(`/?p=${post}: ${status} ${location} ${body}`);
	return body;
}

async function call(compose: Compose, method: string, ...values: Value[]): Promise<string> {
	const body = encodeCall(method, values);
	const headers = { "Content-Type": "text/xml" };
	return decodeReply((await visit(compose, "/xmlrpc.php", { method: "POST", body, headers })).body);
}

/** Fills in the form of wp-admin/install.php. */
async function install(compose: Compose): Promise<void> {
	const form = {
		weblog_title: "A lab's blog",
		user_name: USER,
		admin_password: PASSWORD,
		admin_password2: PASSWORD,
		pw_weak: "on",
		admin_email: "editor@example.org",
		blog_public: "0",
	};
	const body = new URLSearchParams(form);
	const { body: page } = await visit(compose, "/wp-admin/install.php?step=2", { method: "POST", body });
	includes(page, "WordPress has been installed", "install.php");
}

async function writePost(compose: Compose, title: string, text: string): Promise<string> {
	const post = { post_title: title, post_content: text, post_status: "publish" };
	return await call(compose, "wp.newPost", 1, USER, PASSWORD, post);
}

/** The post's page, the uploaded picture and the list of posts, as a reader gets them. */
async function readAll(compose: Compose): Promise<void> {
	includes(await eventually("the post", () => postPage(compose, published.post)), TEXT, "the post's page");
	includes((await visit(compose, "/")).body, "First post", "the front page");
	const picture = await visit(compose, published.picture);
	equal([picture.status, picture.headers.get("content-type")], [200, "image/gif"], "the picture");
}

const health = ({ docker }: Lab, service: string) =>
	docker("inspect", "-f", "{{.State.Health.Status}}", `${PROJECT}-${service}-1`);

const published = { post: "", picture: "" };

export const scenario: Scenario = {
	title: "WordPress and MariaDB: a post is written over HTTP and read back after down and up",
	steps: [
		step("images load", async (lab) => {
			copyStack(lab, import.meta.dir);
			await loadStackImages(lab, "wordpress", "mariadb");
		}),
		step("up: WordPress starts when the database is healthy, and gets healthy itself", async (lab) => {
			await composeOf(lab)("up", "-d", "--wait");
			equal([await health(lab, "db"), await health(lab, "wordpress")], ["healthy", "healthy"], "health");
			const times = await lab.docker(
				...["inspect", "-f", "{{.State.StartedAt}} {{(index .State.Health.Log 0).End}}"],
				...[`${PROJECT}-wordpress-1`, `${PROJECT}-db-1`],
			);
			const [web = "", db = ""] = times.split("\n");
			const checkedAt = Date.parse(
				db
					.split(" ")
					.slice(1, 3)
					.join("T")
					.replace(/(\.\d{3}).*/, "$1Z"),
			);
			equal(
				Date.parse(web.split(" ")[0] ?? "") > checkedAt,
				true,
				`WordPress started after the first check (${times})`,
			);
		}),
		step("the secret is a file in the containers, and nowhere in their configuration", async (lab) => {
			const password = await composeOf(lab)("exec", "-T", "wordpress", "cat", "/run/secrets/db-password");
			equal(password, "tr0ub4dor", "the file");
			equal((await lab.docker("inspect", `${PROJECT}-wordpress-1`)).includes(password), false, "in inspect");
		}),
		step("the config is where WordPress serves it", async (lab) => {
			includes((await visit(composeOf(lab), "/about.txt")).body, "out of Debian's packages", "about.txt");
		}),
		step("WordPress is installed over HTTP", async (lab) => await install(composeOf(lab))),
		step("a post and a picture are published over HTTP, and a reader gets them", async (lab) => {
			const compose = composeOf(lab);
			published.post = await writePost(compose, "First post", TEXT);
			equal(/^\d+$/.test(published.post), true, `the post's number (${published.post})`);
			const file = { name: "dot.gif", type: "image/gif", bits: IMAGE };
			const reply = await call(compose, "wp.uploadFile", 1, USER, PASSWORD, file);
			published.picture = /\/wp-content\/uploads\/\S+\.gif/.exec(reply)?.[0] ?? "";
			await readAll(compose);
		}),
		step("the reader finds the blog by its name", async (lab) => {
			const { addresses } = await lookup(lab.engine.dns, HOST);
			const page = await fetchText(`http://${addresses[0]}/`, { headers: { Host: HOST } });
			includes(page.body, "First post", "the front page");
		}),
		step("a database process that is killed comes back healthy, with the post", async (lab) => {
			const pid = Number(await lab.docker("inspect", "-f", "{{.State.Pid}}", `${PROJECT}-db-1`));
			process.kill(pid, "SIGKILL");
			await eventually(
				"a restart",
				async () => (await lab.docker("inspect", "-f", "{{.RestartCount}}", `${PROJECT}-db-1`)) === "1",
			);
			await eventually("health", async () => (await health(lab, "db")) === "healthy", { withinMs: 30_000 });
			await readAll(composeOf(lab));
		}),
		step("down and up: the post, the picture and the account are there", async (lab) => {
			const compose = composeOf(lab);
			await compose("down");
			equal(await lab.docker("ps", "-aq"), "", "containers after down");
			equal(await lab.docker("volume", "ls", "-q"), `${PROJECT}_content\n${PROJECT}_database`, "volumes after down");
			await compose("up", "-d", "--wait");
			await readAll(compose);
			await writePost(compose, "Second post", "Written after up.");
			includes((await visit(compose, "/")).body, "Second post", "the front page");
		}),
		step("the daemon is killed and started: the blog is read, and stays healthy", async (lab) => {
			await lab.engine.kill();
			await lab.engine.start();
			await readAll(composeOf(lab));
			await eventually("health", async () => (await health(lab, "wordpress")) === "healthy");
		}),
		step("down -v leaves nothing", async (lab) => {
			await composeOf(lab)("down", "-v");
			await nothingLeft(lab, PROJECT);
		}),
		step("Compose v1 runs the same stack", async (lab) => {
			if (!hasComposeV1()) return;
			const compose = composeOf(lab, 1, "older");
			await compose("up", "-d");
			await eventually("WordPress", async () => (await visit(compose, "/wp-admin/install.php")).status === 200);
			await install(compose);
			const post = await writePost(compose, "By v1", TEXT);
			includes(await postPage(compose, post), TEXT, "the post's page");
			await compose("down", "-v");
			await nothingLeft(lab, "older");
		}),
	],
};
