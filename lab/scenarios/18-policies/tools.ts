import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { decode, encode } from "dns-packet";
import { equal, eventually } from "../../lib/assert.ts";
import type { Lab } from "../../lib/scenario.ts";

const SLEEP = ["sleep", "100000"];
/** Says its name to everyone who connects, on two ports. */
export const speaker = (name: string) => [
	"sh",
	"-c",
	`(while :; do echo ${name} | nc -l -p 81 >/dev/null; done) & while :; do echo ${name} | nc -l -p 80 >/dev/null; done`,
];
/** The servers of the scenario's internet, and the names they have there. */
export const SERVERS = { api: "10.214.0.10", deep: "10.214.0.11", other: "10.214.0.12" };
/** One of both families. */
export const SIX = { four: "10.215.0.10", six: "fd15::10" };
/** The network's own gateway: the lab answers there. */
export const NAMES = "10.214.0.1";
const ZONE: Readonly<Record<string, string>> = {
	"six.example.org": SIX.four,
	"api.example.org": SERVERS.api,
	"a.b.wild.example.org": SERVERS.deep,
	"wild.example.org": SERVERS.deep,
	"other.example.org": SERVERS.other,
};

const ZONE6: Readonly<Record<string, string>> = { "six.example.org": SIX.six };

/** A name server; it ends with the lab. */
export async function serveNames(): Promise<void> {
	const socket = await Bun.udpSocket({
		hostname: NAMES,
		port: 53,
		socket: {
			data(own, bytes: Buffer, port, client) {
				const { id = 0, questions = [] } = decode(bytes);
				const [{ name = "", type = "A" } = {}] = questions;
				const kind = type === "AAAA" ? "AAAA" : "A";
				const data = kind === "AAAA" ? ZONE6[name] : ZONE[name];
				const answers = data && type === kind ? [{ type: kind, name, data, ttl: 300 } as const] : [];
				own.send(encode({ type: "response", id, flags: ZONE[name] ? 0 : 3, questions, answers }), port, client);
			},
		},
	});
	socket.unref();
}

export async function run({ docker }: Lab, name: string, options: string[], command: string[] = SLEEP): Promise<void> {
	await docker("run", "-d", "--init", "--name", name, ...options, "busybox", ...command);
}

export async function exec({ docker }: Lab, container: string, ...command: string[]) {
	return docker.run(["exec", container, ...command], { timeoutMs: 20_000 });
}

/** What `nc` hears, "" when nobody answers or nobody may. */
export async function heard(lab: Lab, from: string, to: string, port = "80"): Promise<string> {
	const { stdout } = await exec(lab, from, "sh", "-c", `nc -w 1 ${to} ${port} </dev/null`);
	return stdout.trim();
}

/** Tries again: the servers are deaf for a moment after each who asks. */
export async function hears(lab: Lab, from: string, to: string, port = "80"): Promise<string> {
	return eventually(`${to}:${port} heard from ${from}`, async () => (await heard(lab, from, to, port)) || undefined);
}

export async function resolved(lab: Lab, from: string, name: string, ...server: string[]): Promise<string> {
	return resolvedAs(lab, "a", from, name, ...server);
}

export async function resolvedAs(
	lab: Lab,
	type: "a" | "aaaa",
	from: string,
	name: string,
	...server: string[]
): Promise<string> {
	const { stdout, stderr } = await exec(lab, from, "timeout", "3", "nslookup", `-type=${type}`, name, ...server);
	const [, found = stdout + stderr] = /Name:[\s\S]*?Address: (\S+)/.exec(stdout) ?? [];
	return found;
}

/** The command line's answer: exit code, and both outputs. */
export async function policy({ engine }: Lab, ...argv: string[]): Promise<{ code: number; text: string }> {
	const { exitCode, stdout, stderr } = await Bun.$`${engine.binary} policy ${argv} --host ${engine.host}`
		.nothrow()
		.quiet();
	return { code: exitCode, text: `${stdout}${stderr}`.trim() };
}

export async function apply(lab: Lab, text: string, ...flags: string[]): Promise<{ code: number; text: string }> {
	const path = join(lab.directory, "policy.yaml");
	writeFileSync(path, text);
	return policy(lab, "apply", path, ...flags);
}

export async function applied(lab: Lab, text: string): Promise<string> {
	const done = await apply(lab, text);
	equal(done.code, 0, `exit code of apply: ${done.text}`);
	return done.text;
}

export async function ruleset({ engine }: Lab): Promise<string> {
	const inet = await Bun.$`nft list table inet foredeck-${engine.instance}`.quiet();
	const bridge = await Bun.$`nft list table bridge foredeck-${engine.instance}`.nothrow().quiet();
	return `${inet.stdout}${bridge.stdout}`;
}

export async function address({ docker }: Lab, container: string, network: string): Promise<string> {
	return docker("inspect", "-f", `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, container);
}

export async function address6({ docker }: Lab, container: string, network: string): Promise<string> {
	return docker("inspect", "-f", `{{(index .NetworkSettings.Networks "${network}").GlobalIPv6Address}}`, container);
}
