import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { equal, eventually, includes } from "../../lib/assert.ts";
import { type Compose, createCompose, hasComposeV1 } from "../../lib/compose.ts";
import { lookup } from "../../lib/dns.ts";
import { startPlainRegistry } from "../../lib/registry.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";
import { copyStack, fetchText, loadStackImages, nothingLeft, request } from "../../lib/stacks.ts";

const PROJECT = "counter";

const composeOf = (
	lab: Lab,
	more: {
		flags?: string[];
		overrides?: string[];
		env?: Record<string, string>;
		version?: 1 | 2;
		project?: string;
	} = {},
) => createCompose(lab, { stack: join(lab.directory, "stack"), project: PROJECT, ...more });

interface Count {
	readonly hits: number;
	readonly replica: string;
}

/** One request through the balancer. */
async function count(compose: Compose): Promise<Count> {
	const { status, body } = await request(compose, ["balancer", 80], "/");
	if (status !== 200) throw new Error(`${status} ${body}`);
	return JSON.parse(body) as Count;
}

/** Requests through the balancer at one address, `times` in all, one after another. */
async function countMany(compose: Compose, times: number): Promise<Count[]> {
	const address = await compose("port", "balancer", "80");
	const counts: Count[] = [];
	for (let i = 0; i < times; i++) counts.push(JSON.parse((await fetchText(`http://${address}/`)).body) as Count);
	return counts;
}

const upAgain = (compose: Compose) => eventually("an answer", () => count(compose), { withinMs: 20_000 });

/** Addresses of the running replicas, sorted. */
async function replicaAddresses({ docker }: Lab): Promise<string[]> {
	const ids = await docker(
		"ps",
		"-q",
		"--filter",
		`label=com.docker.compose.project=${PROJECT}`,
		"--filter",
		"name=web",
	);
	const format = `{{.NetworkSettings.Networks.${PROJECT}_default.IPAddress}}`;
	return (await docker("inspect", "-f", format, ...ids.split("\n"))).split("\n").sort();
}

async function namesAre(lab: Lab, replicas: number): Promise<void> {
	const addresses = await replicaAddresses(lab);
	equal(addresses.length, replicas, "replicas");
	const fromHost = await lookup(lab.engine.dns, `web.${PROJECT}.${lab.engine.domain}`);
	equal([...fromHost.addresses].sort(), addresses, "addresses of web from the host");
	const inside = await composeOf(lab)("exec", "-T", "balancer", "getent", "ahostsv4", "web");
	equal([...new Set(inside.match(/^[\d.]+/gm))].sort(), addresses, "addresses of web from inside");
}

/** Keeps asking while `work` runs; the status of every reply. */
async function during(compose: Compose, work: () => Promise<void>): Promise<number[]> {
	const address = await compose("port", "balancer", "80");
	const statuses: number[] = [];
	let working = true;
	const asking = (async () => {
		while (working) statuses.push((await fetchText(`http://${address}/`)).status);
	})();
	await work().finally(() => {
		working = false;
	});
	await asking;
	return statuses;
}

export const scenario: Scenario = {
	title:
		"a counter in Redis behind three replicas: scaling, names, rolling restart, and what Compose does to containers",
	steps: [
		step("images load", async (lab) => {
			copyStack(lab, import.meta.dir);
			await loadStackImages(lab, "python", "redis", "nginx");
		}),
		step("up --scale web=3: all replicas count on from what the finished seed service left", async (lab) => {
			const compose = composeOf(lab);
			await compose("up", "-d", "--scale", "web=3");
			equal((await upAgain(compose)).hits > 100, true, "counted on from the seed");
			const counts = await countMany(compose, 30);
			equal(
				counts.map(({ hits }) => hits - (counts[0]?.hits ?? 0)),
				[...counts.keys()],
				"every request counts one",
			);
			equal(new Set(counts.map(({ replica }) => replica)).size, 3, "replicas that answered");
		}),
		step("the service's name stands for all replicas, from the host and from inside", (lab) => namesAre(lab, 3)),
		step("each replica has a port of its own", async (lab) => {
			const compose = composeOf(lab);
			const ports = await Promise.all(["1", "2", "3"].map((index) => compose("port", "--index", index, "web", "8000")));
			const replies = await Promise.all(ports.map((address) => fetchText(`http://${address}/`)));
			const replicas = replies.map(({ body }) => (JSON.parse(body) as Count).replica);
			equal(new Set(replicas).size, 3, `replicas behind ${ports}`);
		}),
		step("ps, logs, top and images tell of the replicas", async (lab) => {
			const compose = composeOf(lab);
			const rows = (await compose("ps", "-a", "--format", "json")).split("\n").map((line) => JSON.parse(line));
			const states = rows.map(({ Name, State, Health }) => `${Name} ${State} ${Health}`.trim()).sort();
			equal(
				states,
				[
					"counter-balancer-1 running",
					"counter-redis-1 running healthy",
					"counter-seed-1 exited",
					...["1", "2", "3"].map((index) => `counter-web-${index} running`),
				],
				"ps -a",
			);
			const logs = await compose("logs", "web");
			for (const index of ["1", "2", "3"]) includes(logs.replaceAll(/ +\|/g, " |"), `web-${index} | replica`, "logs");
			includes(await compose("top", "redis"), "redis-server", "top");
			includes(await compose("images"), "lab/python", "images");
			includes(await compose("stats", "--no-stream"), "counter-web-2", "stats");
		}),
		step("logs -f follows, events are told", async (lab) => {
			const compose = composeOf(lab);
			const following = compose.start(["logs", "-f", "--tail", "0", "web"]);
			const watching = compose.start(["events", "--json"]);
			await Bun.sleep(500);
			await count(compose);
			await compose("restart", "-t", "2", "redis");
			await upAgain(compose);
			for (const child of [following, watching]) child.signal("SIGINT");
			includes(await new Response(following.stdout).text(), '"GET / HTTP/1.0" 200', "logs -f");
			const events = await new Response(watching.stdout).text();
			for (const action of ["die", "start"]) includes(events, `"action":"${action}"`, "events");
		}),
		step("exec and cp reach the replica that is asked for", async (lab) => {
			const compose = composeOf(lab);
			const options = ["-T", "--index", "2", "-e", "WHO=me", "-u", "www-data", "-w", "/tmp"];
			const said = await compose("exec", ...options, "web", "sh", "-c", "echo $WHO $(id -un) $(pwd)");
			equal(said, "me www-data /tmp", "exec");
			equal((await compose.run(["exec", "-T", "web", "sh", "-c", "exit 9"])).code, 9, "exit code");
			const file = join(lab.directory, "note");
			writeFileSync(file, "to the second\n");
			await compose("cp", "--index", "2", file, "web:/tmp/note");
			equal(await compose("exec", "-T", "--index", "2", "web", "cat", "/tmp/note"), "to the second", "the copy");
			equal((await compose.run(["exec", "-T", "--index", "1", "web", "cat", "/tmp/note"])).code, 1, "in the first");
			await compose("cp", "--index", "2", "web:/tmp/note", `${file}.back`);
			equal(readFileSync(`${file}.back`, "utf8"), "to the second\n", "the copy back");
		}),
		step("run makes a container for one command, with its exit code, and leaves nothing", async (lab) => {
			const compose = composeOf(lab);
			await compose("run", "--rm", "-T", "report", "python3", "report.py", "1000");
			equal(await compose("run", "--rm", "-T", "report"), "hits: 1000", "run");
			equal((await compose.run(["run", "--rm", "-T", "--no-deps", "web", "sh", "-c", "exit 3"])).code, 3, "exit code");
			equal(
				await lab.docker("ps", "-aq", "--filter", "label=com.docker.compose.oneoff=True"),
				"",
				"one-off containers",
			);
		}),
		step("a profile's service starts with its profile alone; up tells its exit code", async (lab) => {
			const listed = async (compose: Compose) =>
				(await compose("ps", "-a", "--services")).split("\n").includes("report");
			equal(await listed(composeOf(lab)), false, "report without the profile");
			const tools = composeOf(lab, { flags: ["--profile", "tools"] });
			const { code, stdout } = await tools.run([
				"up",
				"--no-recreate",
				"--no-deps",
				"--exit-code-from",
				"report",
				"report",
			]);
			includes(stdout, "hits: ", "what the attached up shows");
			equal([code, await listed(tools)], [0, true], "exit code, and report with the profile");
			await tools("rm", "-f", "report");
		}),
		step("pause, unpause, kill, stop and start", async (lab) => {
			const compose = composeOf(lab);
			const states = async () => {
				const lines = (await compose("ps", "-a", "--format", "{{.State}}", "web")).split("\n");
				return [...new Set(lines)].join(" ");
			};
			const after = async (command: string) => [await compose(command, "web"), await states()][1];
			equal(await after("pause"), "paused", "after pause");
			equal(await after("unpause"), "running", "after unpause");
			equal(await after("kill"), "exited", "after kill");
			equal(await after("start"), "running", "after start");
			equal(await after("stop"), "exited", "after stop");
			equal(await after("start"), "running", "after start");
			await upAgain(compose);
		}),
		step("a rolling restart fails no request", async (lab) => {
			const compose = composeOf(lab);
			const statuses = await during(compose, async () => {
				for (const index of ["1", "2", "3"]) {
					await lab.docker("restart", `${PROJECT}-web-${index}`);
					const replica = await compose("exec", "-T", "--index", index, "web", "hostname");
					await eventually("the replica's turn", async () => (await count(compose)).replica === replica);
				}
			});
			equal([...new Set(statuses)], [200], `statuses of ${statuses.length} requests`);
		}),
		step("a changed environment recreates web alone", async (lab) => {
			const idOf = (name: string) => lab.docker("inspect", "-f", "{{.Id}}", `${PROJECT}-${name}-1`);
			const before = [await idOf("web"), await idOf("redis")];
			const changed = composeOf(lab, { env: { GREETING: "hi" } });
			await changed("up", "-d", "--scale", "web=3");
			equal((await idOf("web")) === before[0], false, "web is another container");
			equal(await idOf("redis"), before[1], "redis is the same");
			equal(await changed("exec", "-T", "web", "printenv", "GREETING"), "hi", "the new value");
		}),
		step("scaling up and down: names follow", async (lab) => {
			const compose = composeOf(lab, { env: { GREETING: "hi" } });
			for (const replicas of [5, 2]) {
				await compose("up", "-d", "--no-recreate", "--scale", `web=${replicas}`);
				await namesAre(lab, replicas);
			}
			await upAgain(compose);
		}),
		step("the count outlives the daemon's crash, and down and up", async (lab) => {
			const compose = composeOf(lab);
			const { hits } = await count(compose);
			await lab.engine.kill();
			await lab.engine.start();
			equal((await count(compose)).hits, hits + 1, "after the crash");
			await compose("down");
			await compose("up", "-d");
			equal((await upAgain(compose)).hits, hits + 2, "after down and up");
		}),
		step("up in the foreground shows what the services print, and Ctrl-C stops them all", async (lab) => {
			const compose = composeOf(lab);
			await compose("down");
			const attached = compose.start(["up"]);
			const shown = new Response(attached.stdout).text();
			await upAgain(compose);
			attached.signal("SIGINT");
			equal([0, 130].includes(await attached.exited), true, "its exit code is docker's for an interrupt");
			includes((await shown).replaceAll(/ +\|/g, " |"), "web-1 | replica", "what it showed");
			equal(await compose("ps", "-q"), "", "services that run");
			await compose("start");
			await upAgain(compose);
		}),
		step("a dependency that does not complete keeps the services behind it down", async (lab) => {
			const broken = composeOf(lab, { overrides: ["broken-seed.yaml"] });
			await broken("rm", "-fs", "web", "seed");
			const { code, stderr } = await broken.run(["up", "-d"]);
			equal(code, 1, "exit code of up");
			includes(stderr, `service "seed" didn't complete successfully: exit 7`, "what up says");
			equal(await broken("ps", "--services", "--status", "running", "web"), "", "replicas that run");
			await composeOf(lab)("up", "-d");
			await upAgain(composeOf(lab));
		}),
		step("pull brings what the registry has", async (lab) => {
			const registry = await startPlainRegistry(join(lab.directory, "registry"), lab.engine.dns.address);
			try {
				const image = `${registry.name}/lab/redis:pulled`;
				await lab.docker("tag", "lab/redis", image);
				await lab.docker("push", "-q", image);
				await lab.docker("rmi", image);
				const compose = composeOf(lab, { overrides: ["pull.yaml"], env: { REDIS_IMAGE: image } });
				await compose("pull", "redis");
				equal((await lab.docker("images", "-q", image)) === "", false, "the pulled image is there");
				const { hits } = await count(compose);
				await compose("up", "-d", "redis");
				equal(
					await lab.docker("inspect", "-f", "{{.Config.Image}}", `${PROJECT}-redis-1`),
					image,
					"the image redis runs",
				);
				equal((await upAgain(compose)).hits, hits + 1, "counted on with the pulled image");
				await compose("down");
				await lab.docker("rmi", image);
				await compose("up", "-d");
				equal((await upAgain(compose)).hits, hits + 2, "up pulls what is missing");
			} finally {
				await registry.stop();
			}
		}),
		step("down -v leaves nothing", async (lab) => {
			await composeOf(lab, { flags: ["--profile", "tools"] })("down", "-v");
			await nothingLeft(lab, PROJECT);
		}),
		step("Compose v1 scales the same stack", async (lab) => {
			if (!hasComposeV1()) return;
			const compose = composeOf(lab, { version: 1, project: "older" });
			await compose("up", "-d", "--scale", "web=3");
			await upAgain(compose);
			equal(new Set((await countMany(compose, 30)).map(({ replica }) => replica)).size, 3, "replicas that answered");
			includes(await compose("logs", "web"), "serves", "logs");
			equal(await compose("exec", "-T", "--index=2", "web", "printenv", "REDIS_HOST"), "redis", "exec");
			includes(await compose("run", "--rm", "-T", "report"), "hits: 1", "run");
			await compose("down", "-v");
			await nothingLeft(lab, "older");
		}),
	],
};
