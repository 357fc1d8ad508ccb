import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { decode, encode } from "dns-packet";
import { equal, eventually, includes } from "../../lib/assert.ts";
import { loadImage } from "../../lib/load-image.ts";
import type { Lab, Scenario } from "../../lib/scenario.ts";
import { step } from "../../lib/scenario.ts";

const SLEEP = ["sleep", "100000"];
/** Says its name to everyone who connects, on two ports. */
const speaker = (name: string) => [
	"sh",
	"-c",
	`(while :; do echo ${name} | nc -l -p 81 >/dev/null; done) & while :; do echo ${name} | nc -l -p 80 >/dev/null; done`,
];
/** The servers of the scenario's internet, and the names they have there. */
const SERVERS = { api: "10.214.0.10", deep: "10.214.0.11", other: "10.214.0.12" };
/** The network's own gateway: the lab answers there. */
const NAMES = "10.214.0.1";
const ZONE: Readonly<Record<string, string>> = {
	"api.example.org": SERVERS.api,
	"a.b.wild.example.org": SERVERS.deep,
	"wild.example.org": SERVERS.deep,
	"other.example.org": SERVERS.other,
};

/** A name server; it ends with the lab. */
async function serveNames(): Promise<void> {
	const socket = await Bun.udpSocket({
		hostname: NAMES,
		port: 53,
		socket: {
			data(own, bytes: Buffer, port, client) {
				const { id = 0, questions = [] } = decode(bytes);
				const [{ name = "", type = "A" } = {}] = questions;
				const data = ZONE[name];
				const answers = data && type === "A" ? [{ type: "A" as const, name, data, ttl: 300 }] : [];
				own.send(encode({ type: "response", id, flags: data ? 0 : 3, questions, answers }), port, client);
			},
		},
	});
	socket.unref();
}

const LOCK = `
name: lock
select: { names: [web] }
default: { egress: deny }
rules:
  - action: allow
    to: ["api.example.org:80", "*.wild.example.org"]
`;

async function run({ docker }: Lab, name: string, options: string[], command: string[] = SLEEP): Promise<void> {
	await docker("run", "-d", "--init", "--name", name, ...options, "busybox", ...command);
}

async function exec({ docker }: Lab, container: string, ...command: string[]) {
	return docker.run(["exec", container, ...command], { timeoutMs: 20_000 });
}

/** What `nc` hears, "" when nobody answers or nobody may. */
async function heard(lab: Lab, from: string, to: string, port = "80"): Promise<string> {
	const { stdout } = await exec(lab, from, "sh", "-c", `nc -w 1 ${to} ${port} </dev/null`);
	return stdout.trim();
}

/** Tries again: the servers are deaf for a moment after each who asks. */
async function hears(lab: Lab, from: string, to: string, port = "80"): Promise<string> {
	return eventually(`${to}:${port} heard from ${from}`, async () => (await heard(lab, from, to, port)) || undefined);
}

async function resolved(lab: Lab, from: string, name: string, ...server: string[]): Promise<string> {
	const { stdout, stderr } = await exec(lab, from, "timeout", "3", "nslookup", "-type=a", name, ...server);
	const [, found = stdout + stderr] = /Name:[\s\S]*?Address: (\S+)/.exec(stdout) ?? [];
	return found;
}

/** The command line's answer: exit code, and both outputs. */
async function policy({ engine }: Lab, ...argv: string[]): Promise<{ code: number; text: string }> {
	const { exitCode, stdout, stderr } = await Bun.$`${engine.binary} policy ${argv} --host ${engine.host}`
		.nothrow()
		.quiet();
	return { code: exitCode, text: `${stdout}${stderr}`.trim() };
}

async function apply(lab: Lab, text: string, ...flags: string[]): Promise<{ code: number; text: string }> {
	const path = join(lab.directory, "policy.yaml");
	writeFileSync(path, text);
	return policy(lab, "apply", path, ...flags);
}

async function applied(lab: Lab, text: string): Promise<string> {
	const done = await apply(lab, text);
	equal(done.code, 0, `exit code of apply: ${done.text}`);
	return done.text;
}

async function ruleset({ engine }: Lab): Promise<string> {
	const inet = await Bun.$`nft list table inet foredeck-${engine.instance}`.quiet();
	const bridge = await Bun.$`nft list table bridge foredeck-${engine.instance}`.nothrow().quiet();
	return `${inet.stdout}${bridge.stdout}`;
}

async function address({ docker }: Lab, container: string, network: string): Promise<string> {
	return docker("inspect", "-f", `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, container);
}

async function lockHolds(lab: Lab): Promise<void> {
	equal(await hears(lab, "web", SERVERS.api), "api", "the server that was resolved");
	equal(await heard(lab, "web", SERVERS.api, "81"), "", "another port of it");
	equal(await heard(lab, "web", SERVERS.other), "", "a server that was not");
	equal(await hears(lab, "free", SERVERS.other), "other", "the same by one without a policy");
}

export const scenario: Scenario = {
	title: "network policies let through what they say and nothing else",
	steps: [
		step("a network with servers, a name server for them, and two clients", async (lab) => {
			await loadImage(lab, "busybox");
			await lab.docker("network", "create", "--subnet", "10.214.0.0/24", "front");
			await lab.docker("network", "create", "back");
			for (const [name, ip] of Object.entries(SERVERS)) {
				await run(lab, name, ["--network", "front", "--ip", ip], speaker(name));
			}
			await serveNames();
			await run(lab, "web", ["--network", "front", "--dns", NAMES]);
			await run(lab, "free", ["--network", "front", "--dns", NAMES]);
			await eventually("the name server", async () => (await resolved(lab, "free", "api.example.org")) === SERVERS.api);
			equal(await hears(lab, "web", SERVERS.other), "other", "without policies all is open");
		}),
		step("a mistake is named by its place; a dry run changes nothing", async (lab) => {
			const wrong = await apply(lab, "name: a\nselect: { name: [web] }\n");
			includes(
				wrong.text,
				"unknown field [0].select.name: allowed are all, names, labels, networks, projects",
				"mistake",
			);
			equal(wrong.code, 1, "its exit code");
			const before = await ruleset(lab);
			includes((await apply(lab, LOCK, "--dry-run")).text, "lock would be created: web", "dry run");
			equal(await ruleset(lab), before, "ruleset after the dry run");
			equal(await hears(lab, "web", SERVERS.other), "other", "still open");
		}),
		step("default deny: only what was resolved by an allowed name, and wildcards below theirs", async (lab) => {
			equal(await applied(lab, LOCK), "lock created: web", "apply");
			equal(await heard(lab, "web", SERVERS.api), "", "before it was resolved");
			equal(await resolved(lab, "web", "api.example.org"), SERVERS.api, "resolved");
			await lockHolds(lab);
			equal(await resolved(lab, "web", "a.b.wild.example.org"), SERVERS.deep, "below the wildcard");
			equal(await hears(lab, "web", SERVERS.deep, "81"), "deep", "on any port");
			includes(await resolved(lab, "web", "wild.example.org"), "NXDOMAIN", "the wildcard's own name");
			includes(await resolved(lab, "web", "other.example.org"), "NXDOMAIN", "a name of no rule");
			const direct = await resolved(lab, "web", "other.example.org", NAMES);
			equal(direct.includes(SERVERS.other), false, "another resolver asked directly");
			equal((await exec(lab, "web", "ping", "-c", "1", "-W", "1", NAMES)).code, 1, "ping");
		}),
		step("deny wins over allow, in whichever policy and order", async (lab) => {
			await applied(lab, "name: never\nselect: { names: [nobody] }\n");
			const text = await applied(
				lab,
				`name: never\nselect: { names: ["w*"] }\nrules:\n  - { action: allow, to: [10.214.0.0/24] }\n  - { action: deny, to: ["10.214.0.10/32"] }\n`,
			);
			equal(text, "never updated: web", "apply");
			equal(await heard(lab, "web", SERVERS.api), "", "allowed by name in one, denied by address in the other");
			equal(await hears(lab, "web", SERVERS.other), "other", "allowed by the other's network");
			const told = await policy(lab, "explain", "web", "api.example.org:80");
			equal(told.code, 1, "exit code of explain");
			includes(told.text, "out of web: deny by never rules[1]", "explain");
			await policy(lab, "delete", "never");
			await lockHolds(lab);
		}),
		step("peers by label and network; both ends must allow; one that comes later is known at once", async (lab) => {
			await run(lab, "db", ["--network", "back"], speaker("db"));
			await applied(
				lab,
				`name: db\nselect: { networks: [back], names: [db] }\ndefault: { ingress: deny }\nrules:\n  - { action: allow, from: [{ sandboxes: { labels: { role: app }, networks: [back] } }], ports: 80 }\n`,
			);
			await run(lab, "app", ["--network", "front", "--label", "role=app", "--dns", NAMES]);
			await run(lab, "guest", ["--network", "back"]);
			await lab.docker("network", "connect", "back", "app");
			const db = await address(lab, "db", "back");
			equal(await hears(lab, "app", db), "db", "by label");
			equal(await heard(lab, "app", db, "81"), "", "another port");
			equal(await heard(lab, "guest", db), "", "without the label");
			await lab.docker("network", "disconnect", "back", "app");
			await lab.docker("network", "connect", "back", "app");
			equal(await hears(lab, "app", db), "db", "by label, after it came again");
			includes((await policy(lab, "explain", "guest", "db:80")).text, "into db: deny by db, its default", "explain");
			includes((await policy(lab, "explain", "app", "db:80")).text, "into db: allow by db rules[0]", "explain");
		}),
		step(
			"a label names a policy: it holds from the start; one that is not there keeps the container from starting",
			async (lab) => {
				await applied(lab, "name: shut\ndefault: { egress: deny, ingress: deny }\n");
				const shut = ["run", "--rm", "--network", "front", "--label", "foredeck.policy=shut", "busybox"];
				const { code } = await lab.docker.run([...shut, "nc", "-w", "1", SERVERS.other, "80"]);
				equal(code, 1, "exit code of nc, first of all");
				const missing = await lab.docker.run(["run", "--rm", "--label", "foredeck.policy=nosuch", "busybox", "true"]);
				equal(missing.code, 125, "exit code for a policy that is not there");
				includes(missing.stderr, `names policy "nosuch", which does not exist`, "reason");
			},
		),
		step("a policy for a published port sees who comes", async (lab) => {
			await run(lab, "site", ["--network", "back", "-p", "28090:80"], speaker("site"));
			equal(await hears(lab, "free", NAMES, "28090"), "site", "open without a policy");
			await applied(
				lab,
				`name: site\nselect: { names: [site] }\ndefault: { ingress: deny }\nrules:\n  - { action: allow, from: [{ sandboxes: { names: [app] } }] }\n`,
			);
			equal(await heard(lab, "free", NAMES, "28090"), "", "by one who may not");
			equal(await hears(lab, "app", NAMES, "28090"), "site", "by one who may");
		}),
		step("counters and the log tell what was denied", async (lab) => {
			const { text } = await policy(lab, "log");
			includes(text, `web egress other:80/tcp denied by lock, its default`, "denied address");
			includes(text, "web egress other.example.org (name) denied by lock, its default", "denied name");
			includes(text, "db ingress guest:80/tcp denied by db, its default", "denied peer");
			const counts = JSON.parse((await policy(lab, "show", "lock", "--json")).text).counts;
			const denied = counts.find(({ rule }: { rule: unknown }) => rule === "egress")?.packets ?? 0;
			equal(denied > 3, true, `denied packets of lock: ${denied}`);
			includes((await policy(lab, "list")).text, "lock", "list");
		}),
		step("kill -9, a rename and a network more: all of it holds, and what was resolved stays", async (lab) => {
			const { docker, engine } = lab;
			await engine.kill();
			includes(await ruleset(lab), "policed_egress", "rules while no daemon runs");
			await engine.start();
			await lockHolds(lab);
			equal(await heard(lab, "guest", await address(lab, "db", "back")), "", "peers");
			await docker("network", "create", "more");
			await lockHolds(lab);
			await docker("rename", "web", "www");
			equal(await hears(lab, "www", SERVERS.other), "other", "by a name of no policy");
			await docker("rename", "www", "web");
			await eventually("closed again", async () => (await heard(lab, "web", SERVERS.other)) === "");
		}),
		step("without policies nothing is left of them in the kernel", async (lab) => {
			for (const name of ["lock", "db", "shut", "site"]) equal((await policy(lab, "delete", name)).code, 0, name);
			equal(await hears(lab, "web", SERVERS.other), "other", "open again");
			const text = await ruleset(lab);
			equal(/polic(ed|y_)|table bridge|name\./.test(text), false, `left in the ruleset: ${text}`);
		}),
	],
};
