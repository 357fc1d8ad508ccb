import { equal, eventually, includes } from "../../lib/assert.ts";
import type { Lab } from "../../lib/scenario.ts";
import {
	address,
	address6,
	applied,
	apply,
	exec,
	heard,
	hears,
	NAMES,
	policy,
	resolvedAs,
	run,
	SIX,
	speaker,
} from "./tools.ts";

async function network({ engine }: Lab, ...argv: string[]): Promise<{ code: number; text: string }> {
	const { exitCode, stdout, stderr } = await Bun.$`${engine.binary} network ${argv} --host ${engine.host}`
		.nothrow()
		.quiet();
	return { code: exitCode, text: `${stdout}${stderr}`.trim() };
}

/** What one hears of another over IPv4 and over IPv6. */
async function heardBoth(lab: Lab, from: string, to: string, port = "80"): Promise<string[]> {
	return [
		await heard(lab, from, await address(lab, to, "dual"), port),
		await heard(lab, from, await address6(lab, to, "dual"), port),
	];
}

async function pings(lab: Lab, from: string, to: string): Promise<boolean> {
	return (await exec(lab, from, "ping", "-6", "-c", "1", "-W", "1", to)).code === 0;
}

export async function bothFamilies(lab: Lab): Promise<void> {
	const subnets = ["--subnet", "10.215.0.0/24", "--subnet", "fd15::/64"];
	await lab.docker("network", "create", "--ipv6", ...subnets, "dual");
	await run(lab, "six", ["--network", "dual", "--ip", SIX.four, "--ip6", SIX.six], speaker("six"));
	await run(lab, "inner", ["--network", "dual"], speaker("inner"));
	await run(lab, "friend", ["--network", "dual", "--label", "role=friend"]);
	await run(lab, "stranger", ["--network", "dual", "--dns", NAMES]);
	const inner6 = await address6(lab, "inner", "dual");
	equal(await hears(lab, "stranger", inner6), "inner", "without a policy");
	await applied(
		lab,
		`name: inner\nselect: { names: [inner] }\ndefault: { ingress: deny }\nrules:\n  - { action: allow, from: [{ sandboxes: { labels: { role: friend } } }], ports: 80 }\n`,
	);
	for (const to of [await address(lab, "inner", "dual"), inner6])
		equal(await hears(lab, "friend", to), "inner", `friend at ${to}`);
	equal(await heardBoth(lab, "stranger", "inner"), ["", ""], "stranger");
	equal(await heardBoth(lab, "friend", "inner", "81"), ["", ""], "another port");
	equal([await pings(lab, "stranger", inner6), await pings(lab, "inner", SIX.six)], [false, true], "ping in, ping out");
	for (const from of ["friend", "stranger"]) {
		const told = await policy(lab, "explain", from, `[${inner6}]:80`);
		equal(told.code, from === "friend" ? 0 : 1, `explain ${from}: ${told.text}`);
		const checked = await network(lab, "check", from, "inner", "--port", "80", "--family", "6");
		equal(checked.code, from === "friend" ? 0 : 1, `check ${from}: ${checked.text}`);
	}
	includes((await policy(lab, "log")).text, "inner ingress stranger:80/tcp denied by inner, its default", "log");
	const { text } = await network(lab, "topology");
	const reach = (from: string) => text.split("\n").findLast((line) => line.trim().startsWith(`${from} `)) ?? "";
	includes(reach("friend"), "inner over dual (only by inner rules[0])", "topology");
	equal(reach("stranger").includes("inner over"), false, `topology: ${reach("stranger")}`);
	await applied(
		lab,
		`name: six\nselect: { names: [stranger] }\ndefault: { egress: deny }\nrules:\n  - { action: allow, to: ["six.example.org:80"] }\n`,
	);
	equal(
		[await heard(lab, "stranger", SIX.six), await heard(lab, "stranger", SIX.four)],
		["", ""],
		"before it was resolved",
	);
	equal(await resolvedAs(lab, "aaaa", "stranger", "six.example.org"), SIX.six, "AAAA");
	equal(await hears(lab, "stranger", SIX.six), "six", "the address that was resolved");
	equal(await heard(lab, "stranger", SIX.four), "", "the one of the other family");
	equal(await resolvedAs(lab, "a", "stranger", "six.example.org"), SIX.four, "A");
	equal(await hears(lab, "stranger", SIX.four), "six", "once that is resolved too");
	equal(await heard(lab, "stranger", SIX.six, "81"), "", "another port");
}

/** A program that says a line ten times a second, to a port of inner's, which writes them down. */
async function begin(lab: Lab, port: string, to: string): Promise<void> {
	await lab.docker("exec", "-d", "inner", "sh", "-c", `sleep 1000 | nc -l -p ${port} >/heard-${port}`);
	await eventually(`${port} listens`, async () =>
		(await exec(lab, "inner", "netstat", "-ltn")).stdout.includes(`:${port} `),
	);
	await lab.docker("exec", "-d", "friend", "sh", "-c", `while sleep 0.1; do echo line; done | nc ${to} ${port}`);
	await eventually(`lines at ${port}`, async () => (await size(lab, port)) > 0);
}

async function size(lab: Lab, port: string): Promise<number> {
	return Number((await exec(lab, "inner", "stat", "-c", "%s", `/heard-${port}`)).stdout.trim());
}

async function grows(lab: Lab, port: string): Promise<boolean> {
	const before = await size(lab, port);
	await Bun.sleep(1000);
	return (await size(lab, port)) > before;
}

export async function runningFlows(lab: Lab): Promise<void> {
	const inner = (...ports: number[]) =>
		applied(
			lab,
			`name: inner\nselect: { names: [inner] }\ndefault: { ingress: deny }\nrules:\n  - { action: allow, from: [{ sandboxes: { labels: { role: friend } } }], ports: [${ports}] }\n`,
		);
	await inner(80, 91, 92, 93);
	await begin(lab, "91", await address(lab, "inner", "dual"));
	await begin(lab, "92", await address6(lab, "inner", "dual"));
	await begin(lab, "93", await address6(lab, "inner", "dual"));
	await inner(80, 93);
	// What is under way arrives.
	await Bun.sleep(300);
	equal([await grows(lab, "91"), await grows(lab, "92"), await grows(lab, "93")], [false, false, true], "lines arrive");
}

export async function refusals(lab: Lab): Promise<void> {
	const { docker } = lab;
	const onHost = await docker.run([
		"run",
		"--rm",
		"--network",
		"host",
		"--label",
		"foredeck.policy=shut",
		"busybox",
		"true",
	]);
	equal(onHost.code, 125, "exit code on the host's network");
	includes(onHost.stderr, "policy shut is about container", "reason");
	includes(onHost.stderr, "cannot be enforced on the host's network", "reason");
	const shared = ["run", "--rm", "--network", "container:free", "--label", "foredeck.policy=shut", "busybox", "true"];
	includes(
		(await docker.run(shared)).stderr,
		"in the network of free, which the policy is not about",
		"shared network",
	);
	await docker("run", "-d", "--init", "--name", "monitor", "--network", "host", "busybox", "sleep", "1000");
	const text = "name: mon\nselect: { names: [monitor] }\ndefault: { egress: deny }\n";
	const dry = await apply(lab, text, "--dry-run");
	includes(dry.text, "CANNOT BE ENFORCED on monitor: on the host's network", "dry run");
	const done = await apply(lab, text);
	equal(done.code, 1, "exit code of apply");
	includes(done.text, "cannot apply: policy mon is about container monitor", "reason");
	equal((await policy(lab, "show", "mon")).code, 1, "there is no such policy");
	await docker("rm", "-f", "monitor");
}
