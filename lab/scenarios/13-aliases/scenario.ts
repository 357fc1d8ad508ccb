import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { equal, eventually, includes } from "../../lib/assert.ts";
import { type Compose, createCompose, hasComposeV1 } from "../../lib/compose.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";
import { copyStack, loadStackImages, nothingLeft, request } from "../../lib/stacks.ts";

const PROJECT = "names";
/** A subnet that no other lab on this machine uses. */
const PREFIX = `10.213.${process.pid % 250}`;

function composeOf(lab: Lab, more: { overrides?: string[]; version?: 1 | 2; project?: string } = {}): Compose {
	const env = { PREFIX, GIVEN_NETWORK: "given" };
	return createCompose(lab, { stack: join(lab.directory, "stack"), project: PROJECT, env, ...more });
}

/** The IPv4 addresses of a name as a service's container sees it, sorted; none when there is no such name. */
async function resolve(compose: Compose, service: string, name: string): Promise<string[]> {
	const { stdout } = await compose.run(["exec", "-T", service, "getent", "ahostsv4", name]);
	return [...new Set(stdout.match(/^[\d.]+/gm))].sort();
}

/** The service's address on a network; the container's own name in `docker inspect`. */
async function addressOf({ docker }: Lab, service: string, network: string): Promise<string> {
	const format = `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`;
	return await docker("inspect", "-f", format, `${PROJECT}-${service}-1`);
}

async function namesAreRight(lab: Lab): Promise<void> {
	const compose = composeOf(lab);
	const second = await addressOf(lab, "second", `${PROJECT}_inner`);
	const outer = await addressOf(lab, "site", `${PROJECT}_outer`);
	const site = `${PREFIX}.10`;
	const expected: [string, string, string[]][] = [
		["inside", "site", [site]],
		["inside", "www.inner.test", [site]],
		["inside", "www.outer.test", []],
		["inside", "shared", [site, second].sort()],
		["inside", "linked", [site]],
		["outside", "site", [outer]],
		["outside", "www.outer.test", [outer]],
		["outside", "www", [outer]],
		["outside", "www.inner.test", []],
		["outside", "shared", []],
		["outside", "second", []],
		["guest", "guest.given.test", [await addressOf(lab, "guest", "given")]],
		["guest", "site", []],
	];
	const seen = await Promise.all(
		expected.map(
			async ([from, name]) => [from, name, await resolve(compose, from, name)] as [string, string, string[]],
		),
	);
	equal(seen, expected, "names");
}

/** Runs `compose watch` for as long as `work` takes; what it said. */
async function watching(compose: Compose, work: () => Promise<void>): Promise<string> {
	const watch = compose.start(["watch", "--no-up", "watched"]);
	let said = "";
	const listen = async (stream: ReadableStream<Uint8Array>) => {
		for await (const chunk of stream) said += Buffer.from(chunk).toString();
	};
	const heard = Promise.all([listen(watch.stdout), listen(watch.stderr)]);
	try {
		await eventually("watch", () => said.includes("Watch enabled"));
		await work();
	} catch (error) {
		throw new Error(`${error instanceof Error ? error.message : error}; watch said: ${said}`);
	} finally {
		watch.signal("SIGINT");
		await Promise.race([heard, Bun.sleep(5000)]);
	}
	return said;
}

export const scenario: Scenario = {
	title: "aliases per network, links, extra hosts, static addresses, shared namespaces; files synced by watch",
	steps: [
		step("images load, and a network is there before Compose", async (lab) => {
			copyStack(lab, import.meta.dir);
			await loadStackImages(lab, "nginx", "python");
			await lab.docker("network", "create", "given");
		}),
		step("up: every name is known where it belongs, and nowhere else", async (lab) => {
			await composeOf(lab)("up", "-d");
			await namesAreRight(lab);
		}),
		step("an alias that two services share leads to both", async (lab) => {
			const compose = composeOf(lab);
			const ask = "for i in $(seq 20); do curl -s -o /dev/null -D - http://shared/ | grep X-Host; done | sort -u";
			equal((await compose("exec", "-T", "inside", "sh", "-c", ask)).split("\n").length, 2, "servers that answered");
		}),
		step("static addresses and ranges are kept to", async (lab) => {
			const second = await addressOf(lab, "second", `${PROJECT}_inner`);
			const [, last = ""] = /\.(\d+)$/.exec(second) ?? [];
			equal(second.startsWith(`${PREFIX}.`) && Number(last) >= 128, true, `address in the range (${second})`);
			const all = await composeOf(lab)("exec", "-T", "site", "hostname", "-I");
			equal(all.split(" ").includes("169.254.77.77"), true, `link-local address among ${all}`);
		}),
		step("extra hosts are in the hosts file; host-gateway is this host", async (lab) => {
			const compose = composeOf(lab);
			equal(await resolve(compose, "inside", "printer"), [`${PREFIX}.99`], "printer");
			await compose("exec", "-T", "inside", "ping", "-c", "1", "-W", "2", "host.docker.internal");
		}),
		step("hostname, domain name and search list", async (lab) => {
			const compose = composeOf(lab);
			equal(await compose("exec", "-T", "site", "hostname", "-f"), "www.example.test", "hostname -f");
			includes(await compose("exec", "-T", "outside", "cat", "/etc/resolv.conf"), "search outer.test", "resolv.conf");
			equal((await resolve(compose, "outside", "www")).length, 1, "www by the search list");
		}),
		step("network_mode: service: the sidecar is where its service is", async (lab) => {
			const compose = composeOf(lab);
			equal(await compose("exec", "-T", "sidecar", "curl", "-s", "http://localhost/"), "a page", "localhost");
			equal(await compose("exec", "-T", "sidecar", "hostname"), "www", "hostname");
		}),
		step("networks that share no service do not reach each other", async (lab) => {
			const compose = composeOf(lab);
			equal(
				(await compose.run(["exec", "-T", "outside", "ping", "-c", "1", "-W", "1", `${PREFIX}.10`])).code,
				1,
				"ping",
			);
		}),
		step("a container joins a running network under an alias, and leaves it", async (lab) => {
			const compose = composeOf(lab);
			await lab.docker("network", "connect", "--alias", "late", "given", `${PROJECT}-site-1`);
			equal(await resolve(compose, "guest", "late"), [await addressOf(lab, "site", "given")], "late");
			equal(await compose("exec", "-T", "guest", "curl", "-s", "http://late/"), "a page", "the page");
			await lab.docker("network", "disconnect", "given", `${PROJECT}-site-1`);
			equal(await resolve(compose, "guest", "late"), [], "late after disconnect");
		}),
		step("names are right after a restart, and after a crash of the daemon", async (lab) => {
			await composeOf(lab)("restart", "-t", "1", "site", "second");
			await namesAreRight(lab);
			await lab.engine.kill();
			await lab.engine.start();
			await namesAreRight(lab);
		}),
		step("a config given in the file is in the container", async (lab) => {
			const compose = composeOf(lab, { overrides: ["watch.yaml"] });
			await compose("up", "-d", "watched");
			equal((await request(compose, ["watched", 80], "/content.txt")).body, "in the file\n", "the config");
		}),
		step("watch: changed, new and removed files follow; sync+restart restarts", async (lab) => {
			const compose = composeOf(lab, { overrides: ["watch.yaml"] });
			const site = (name: string) => join(lab.directory, "stack/site", name);
			const shows = async (path: string, wanted: number | string) => {
				await eventually(
					`${path} is ${wanted}`,
					async () => {
						const { status, body } = await request(compose, ["watched", 80], path);
						if (status === wanted || body.includes(String(wanted))) return true;
						throw new Error(`${status} ${body}`);
					},
					{ everyMs: 200 },
				);
			};
			const said = await watching(compose, async () => {
				writeFileSync(site("index.html"), "another page\n");
				writeFileSync(site("new.txt"), "new\n");
				await shows("/", "another page");
				await shows("/new.txt", "new");
				rmSync(site("new.txt"));
				await shows("/new.txt", 404);
				writeFileSync(join(lab.directory, "stack/settings/header.conf"), "add_header X-Setting second;\n");
				await eventually("the new setting", async () => {
					return (await request(compose, ["watched", 80], "/")).headers.get("x-setting") === "second";
				});
			});
			equal(said.includes("level="), false, `what watch complained of: ${said}`);
		}),
		step("down leaves nothing but the network that was there before", async (lab) => {
			await composeOf(lab, { overrides: ["watch.yaml"] })("down", "-v");
			await nothingLeft(lab, PROJECT);
			equal((await lab.docker("network", "ls", "-q", "-f", "name=given")) !== "", true, "the given network is there");
		}),
		step("Compose v1 runs the same stack", async (lab) => {
			if (hasComposeV1()) {
				const compose = composeOf(lab, { version: 1, project: "older" });
				await compose("up", "-d");
				equal(await resolve(compose, "inside", "linked"), [`${PREFIX}.10`], "linked");
				equal(await resolve(compose, "inside", "www.outer.test"), [], "www.outer.test from inner");
				equal((await resolve(compose, "outside", "www.outer.test")).length, 1, "www.outer.test from outer");
				equal(await compose("exec", "-T", "sidecar", "curl", "-s", "http://localhost/"), "another page", "sidecar");
				await compose("down", "-v");
				await nothingLeft(lab, "older");
			}
			await lab.docker("network", "rm", "given");
		}),
	],
};
