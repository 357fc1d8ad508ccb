import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { equal, includes } from "../../lib/assert.ts";
import { createDocker, type Docker } from "../../lib/docker.ts";
import { createEngine, type Engine } from "../../lib/engine.ts";
import { findTraces, listTraces } from "../../lib/leaks.ts";
import { loadImage } from "../../lib/load-image.ts";
import { type PrivateRegistry, startRegistry } from "../../lib/registry.ts";
import { type Lab, type Scenario, step } from "../../lib/scenario.ts";

const LOGIN = { user: "lab", password: "open sesame" };
const certificates = (directory: string) => `${directory}/certs.d`;

interface Parts {
	registry?: PrivateRegistry;
	second?: { engine: Engine; docker: Docker };
	digest?: string;
}
const parts: Parts = {};

function registry(): PrivateRegistry {
	if (!parts.registry) throw new Error("the registry was not started");
	return parts.registry;
}

function second(): { engine: Engine; docker: Docker } {
	if (!parts.second) throw new Error("the second engine was not started");
	return parts.second;
}

const imageName = (rest: string) => `${registry().name}/${rest}`;

/** An address of this machine that is not loopback: registries on loopback may do without TLS. */
async function gateway({ docker }: Lab): Promise<string> {
	return await docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "bridge");
}

async function login(docker: Docker, password: string) {
	const stdin = { stdin: password };
	return await docker.run(["login", "-u", LOGIN.user, "--password-stdin", registry().name], stdin);
}

function trustAuthority(directory: string): void {
	const folder = `${certificates(directory)}/${registry().name}`;
	mkdirSync(folder, { recursive: true });
	writeFileSync(`${folder}/ca.crt`, registry().authority);
}

async function startSecond(lab: Lab): Promise<void> {
	const instance = `${lab.engine.instance}b`;
	const directory = `${lab.directory}/second`;
	const { address, port } = lab.engine.dns;
	const dns = `${address.replace(/\d+$/, "54")}:${port}`;
	const flags = ["--registry-certs", certificates(lab.directory)];
	const engine = createEngine({ binary: lab.engine.binary, instance, directory, dns, flags });
	await engine.start();
	parts.second = { engine, docker: createDocker(engine.host, `${directory}/docker-config`) };
}

/** Begins a pull over the API and returns as soon as one layer is complete. */
async function pullUntilOneLayer(engine: Engine, name: string, tag: string): Promise<string> {
	const auth = { username: LOGIN.user, password: LOGIN.password, serveraddress: registry().name };
	const reply = await fetch(`http://localhost/v1.51/images/create?fromImage=${name}&tag=${tag}`, {
		method: "POST",
		unix: engine.host.replace("unix://", ""),
		headers: { "X-Registry-Auth": Buffer.from(JSON.stringify(auth)).toString("base64url") },
	});
	let text = "";
	for await (const chunk of reply.body ?? []) {
		text += new TextDecoder().decode(chunk);
		const id = /"status":"Pull complete".*?"id":"(\w+)"/.exec(text)?.[1];
		if (id) return id;
	}
	throw new Error(`the pull ended before a layer was complete: ${reply.status} ${text}`);
}

const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";
const MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json";

/** One request to the registry below `/v2/`, logged in. */
async function ask(path: string, init: RequestInit = {}): Promise<Response> {
	const headers = { authorization: `Basic ${btoa(`${LOGIN.user}:${LOGIN.password}`)}`, ...init.headers };
	const tls = { rejectUnauthorized: false };
	return await fetch(`https://${registry().name}/v2/${path}`, { ...init, headers, tls });
}

/** Puts an index over two images of the repository, as if they were of two platforms; returns its digest. */
async function pushIndex(
	repository: string,
	tag: string,
	platforms: Readonly<Record<string, string>>,
): Promise<string> {
	const manifests = [];
	for (const [architecture, from] of Object.entries(platforms)) {
		const bytes = await (await ask(`${repository}/manifests/${from}`, { headers: { accept: MANIFEST_TYPE } })).bytes();
		const digest = `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
		manifests.push({ mediaType: MANIFEST_TYPE, digest, size: bytes.length, platform: { os: "linux", architecture } });
	}
	const body = JSON.stringify({ schemaVersion: 2, mediaType: INDEX_TYPE, manifests });
	const reply = await ask(`${repository}/manifests/${tag}`, {
		method: "PUT",
		body,
		headers: { "content-type": INDEX_TYPE },
	});
	equal(reply.status, 201, "PUT of an index");
	return reply.headers.get("docker-content-digest") ?? "";
}

/** The command of the engine's own binary, against the second engine and with its logins. */
async function foredeck(...argv: string[]): Promise<string> {
	const { engine, docker } = second();
	const flags = ["--instance", engine.instance, "--host", engine.host];
	const child = Bun.spawn([engine.binary, ...argv, ...flags], {
		env: { ...docker.env },
		stdout: "pipe",
		stderr: "pipe",
	});
	const [stdout, stderr, code] = await Promise.all([
		new Response(child.stdout).text(),
		new Response(child.stderr).text(),
		child.exited,
	]);
	equal(code, 0, `foredeck ${argv.join(" ")}: ${stderr}`);
	return stdout;
}

async function buildFrom({ env }: Docker, base: string) {
	const child = Bun.spawn(["docker", "build", "-t", "derived", "-"], {
		env: { ...env, DOCKER_BUILDKIT: "0" },
		stdin: Buffer.from(`FROM ${base}\nRUN echo derived > /f\n`),
		stdout: "pipe",
		stderr: "pipe",
	});
	const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
	return { code: await child.exited, stdout, stderr };
}

export const scenario: Scenario = {
	title: "two engines share images through a private registry; one is killed in the middle of a pull",
	flags: (directory) => ["--registry-certs", certificates(directory)],
	steps: [
		step("a registry with TLS and a login starts", async (lab) => {
			await loadImage(lab, "busybox");
			parts.registry = await startRegistry(`${lab.directory}/registry`, await gateway(lab), LOGIN);
		}),
		step("a certificate of an authority that nobody vouches for is refused", async ({ docker }) => {
			const { code, stderr } = await login(docker, LOGIN.password);
			equal(code, 1, "exit code");
			includes(stderr, "certificate", "docker login");
		}),
		step("with the authority in certs.d, docker login takes the right password and no other", async (lab) => {
			trustAuthority(lab.directory);
			const wrong = await login(lab.docker, "wrong");
			equal(wrong.code, 1, "exit code with a wrong password");
			includes(wrong.stderr, "401 Unauthorized", "docker login with a wrong password");
			includes((await login(lab.docker, LOGIN.password)).stdout, "Login Succeeded", "docker login");
		}),
		step("docker push sends an image; a second push sends no layer", async ({ docker }) => {
			await docker("tag", "busybox", imageName("team/app:1"));
			const first = await docker("push", imageName("team/app:1"));
			includes(first, ": Pushed", "first push");
			parts.digest = /digest: (sha256:[0-9a-f]{64})/.exec(first)?.[1];
			await docker("tag", "busybox", imageName("team/app:2"));
			includes(await docker("push", imageName("team/app:2")), "Layer already exists", "second push");
			await docker("tag", "busybox", imageName("other/app:1"));
			includes(await docker("push", imageName("other/app:1")), "Mounted from team/app", "push to another repository");
		}),
		step("a second engine must log in before it may pull", async (lab) => {
			await startSecond(lab);
			const { docker } = second();
			const denied = await docker.run(["pull", imageName("team/app:1")]);
			equal(denied.code, 1, "exit code without login");
			includes(denied.stderr, "no basic auth credentials", "docker pull without login");
		}),
		step("docker build needs the login too, for FROM, and hands it over with the build", async () => {
			const { docker } = second();
			const denied = await buildFrom(docker, imageName("team/app:2"));
			equal(denied.code, 1, "exit code without login");
			includes(denied.stderr, "no basic auth credentials", "docker build without login");
			equal((await login(docker, LOGIN.password)).code, 0, "docker login");
			const { code, stdout, stderr } = await buildFrom(docker, imageName("team/app:2"));
			equal(code, 0, `docker build: ${stderr}`);
			includes(stdout, "Status: Downloaded newer image", "docker build");
			equal(await docker("run", "--rm", "derived", "cat", "/f"), "derived", "what it made");
			await docker("rmi", "derived", imageName("team/app:2"));
		}),
		step("it pulls by tag and by digest, and runs what it pulled", async (lab) => {
			const { docker } = second();
			includes(await docker("pull", imageName("team/app:1")), `Digest: ${parts.digest}`, "docker pull by tag");
			includes(await docker("pull", imageName(`team/app@${parts.digest}`)), "up to date", "docker pull by digest");
			equal(await docker("run", "--rm", imageName("team/app:1"), "echo", "pulled"), "pulled", "docker run");
			const id = (from: Docker) => from("inspect", "-f", "{{.Id}}", imageName("team/app:1"));
			equal(await id(docker), await id(lab.docker), "image ids of both engines");
		}),
		step("all tags of a repository come with -a; an unknown tag is named", async () => {
			const { docker } = second();
			await docker("pull", "-a", imageName("team/app"));
			const tags = await docker("images", "--format", "{{.Tag}}", imageName("team/app"));
			equal(tags.split("\n").sort(), ["1", "2"], "tags");
			const unknown = await docker.run(["pull", imageName("team/app:none")]);
			includes(unknown.stderr, "manifest unknown", "docker pull of an unknown tag");
		}),
		step("an image of a small layer and a big one is committed and pushed", async ({ docker }) => {
			await docker("run", "--name", "big", "busybox", "dd", "if=/dev/urandom", "of=/big", "bs=1M", "count=64");
			await docker("commit", "-m", "big", "big", imageName("team/big:1"));
			await docker("rm", "big");
			await docker("rmi", imageName("other/app:1"));
			await docker("push", imageName("team/big:1"));
		}),
		step("kill -9 in the middle of a pull leaves no half image", async () => {
			const { engine, docker } = second();
			await docker("rmi", "-f", imageName("team/app:1"), imageName("team/app:2"));
			const images = await docker("images", "-q");
			equal(images, "", "images before the pull");
			await pullUntilOneLayer(engine, imageName("team/big"), "1");
			await engine.kill();
			await engine.start();
			equal(await docker("images", "-aq"), "", "images after the crash");
		}),
		step("the next pull takes the layer that was whole, and the image runs", async () => {
			const { docker } = second();
			includes(await docker("pull", imageName("team/big:1")), "Already exists", "docker pull after the crash");
			const size = await docker("run", "--rm", imageName("team/big:1"), "stat", "-c", "%s", "/big");
			equal(size, String(64 * 1024 * 1024), "size of the file in the big layer");
		}),
		step("saved by one engine, it loads in the other with the same id", async (lab) => {
			const { docker } = second();
			const tar = `${lab.directory}/saved.tar`;
			await docker("save", "-o", tar, imageName("team/big:1"));
			const before = await docker("inspect", "-f", "{{.Id}}", imageName("team/big:1"));
			await lab.docker("rmi", imageName("team/big:1"));
			includes(await lab.docker("load", "-i", tar), "Loaded image", "docker load");
			equal(await lab.docker("inspect", "-f", "{{.Id}}", imageName("team/big:1")), before, "image id");
		}),
		step(
			"an index is kept with all of its platforms, and travels on as it came: pushed, saved and loaded",
			async (lab) => {
				const { docker } = second();
				await lab.docker("tag", "busybox", imageName("team/many:small"));
				await lab.docker("push", imageName("team/many:small"));
				await lab.docker("tag", imageName("team/big:1"), imageName("team/many:big"));
				await lab.docker("push", imageName("team/many:big"));
				const digest = await pushIndex("team/many", "1", { amd64: "small", arm64: "big" });
				includes(await foredeck("image", "pull", "--all-platforms", imageName("team/many:1")), digest, "image pull");
				await docker("tag", imageName("team/many:1"), imageName("copy/many:2"));
				includes(await docker("push", imageName("copy/many:2")), `2: digest: ${digest}`, "docker push");
				const tar = `${lab.directory}/many.tar`;
				await docker("save", "-o", tar, imageName("copy/many:2"));
				await lab.docker("load", "-i", tar);
				await lab.docker("tag", imageName("copy/many:2"), imageName("back/many:3"));
				includes(
					await lab.docker("push", imageName("back/many:3")),
					`3: digest: ${digest}`,
					"docker push of what was loaded",
				);
				equal(await docker("run", "--rm", imageName("team/many:1"), "echo", "runs"), "runs", "the host's platform");
			},
		),
		step("what is damaged is found, and fetched again with the login", async () => {
			const { engine, docker } = second();
			const folder = `${engine.dataRoot}/blobs`;
			const [victim = ""] = readdirSync(folder).sort(
				(a, b) => statSync(`${folder}/${b}`).size - statSync(`${folder}/${a}`).size,
			);
			writeFileSync(`${folder}/${victim}`, "damaged");
			includes(await foredeck("doctor", "--deep", "--repair"), "repaired", "doctor --deep --repair");
			includes(await foredeck("doctor", "--deep"), "ok", "doctor --deep");
			await docker("rmi", imageName("team/many:1"), imageName("copy/many:2"));
			equal(readdirSync(folder), [], "parts of the index once its names are gone");
		}),
		step("with its last image gone, no layer is left", async () => {
			const { docker } = second();
			await docker("rmi", "-f", imageName("team/big:1"));
			equal(
				await docker("system", "df", "--format", "{{.Size}}").then((text) => text.split("\n")[0]),
				"0B",
				"images' size",
			);
		}),
		step("the second engine and the registry stop without a trace", async () => {
			const { engine } = second();
			await engine.stop();
			await registry().stop();
			const left = listTraces(findTraces(engine.instance, `${engine.dataRoot}`));
			equal(left, [], "traces of the second engine");
		}),
	],
};
