import { expect, test } from "bun:test";
import { type End, familiesOf, planCheck, probeOf } from "./check.ts";
import type { ProbeResult, TopologyNetwork } from "./contract.ts";
import { joinReports } from "./families.ts";
import { type Found, judge } from "./judge.ts";

function network(name: string, more: Partial<TopologyNetwork> = {}): TopologyNetwork {
	const traits = { internal: false, icc: true, outbound: false };
	return {
		id: name,
		name,
		driver: "bridge",
		kind: "bridge",
		subnet: "10.0.0.0/16",
		gateway: "10.0.0.1",
		...traits,
		...more,
	};
}

const front = network("front");
const back = network("back");

function end(name: string, address: string | undefined, ...on: TopologyNetwork[]): End {
	const networks = on.map(({ id }) => ({ id, name: id, ...(address && { address }) }));
	return { name, on, sandbox: { id: name, name, networks, ports: [] }, namespace: `/ns/${name}` };
}

const web = end("web", "10.0.0.2", front);
const db = end("db", "10.0.0.3", front);
const reached: ProbeResult = {
	dns: { addresses: ["10.0.0.3"], rcode: 0 },
	neighbour: { mac: "02:42:0a:00:00:03" },
	ping: { ms: 0.1 },
	pathMtu: { bytes: 1500 },
	tcp: { ms: 0.4 },
};

function report(from: End, to: End, found: Found, port: number | null = 5432) {
	const request = { from: from.name, to: to.name, ...(port !== null && { port }) };
	return judge(planCheck(request, from, to), found);
}

test("what is tried: the common network's address by ARP and ping, the name, the port", () => {
	const both = { ...db, on: [back, front], sandbox: end("db", undefined).sandbox };
	const sandbox = {
		id: "db",
		name: "db",
		networks: [
			{ id: "back", name: "back", address: "10.1.0.3" },
			{ id: "front", name: "front", address: "10.0.0.3" },
		],
		ports: [],
	};
	const plan = planCheck({ from: "web", to: "db", port: 80 }, web, { ...both, sandbox });
	const expected = { namespace: "/ns/web", name: "db", address: "10.0.0.3", onLink: true, mtu: 1400, port: 80 };
	expect(probeOf(plan, 1400)).toEqual(expected);
	const outside = planCheck({ from: "web", to: "198.51.100.2" }, web, { name: "198.51.100.2", on: [] });
	expect(probeOf(outside, 1500)).toEqual({ namespace: "/ns/web", address: "198.51.100.2", onLink: false, mtu: 1500 });
	const named = planCheck({ from: "web", to: "example.org" }, web, { name: "example.org", on: [] });
	expect(probeOf(named, 1500)).toEqual({ namespace: "/ns/web", name: "example.org", onLink: false, mtu: 1500 });
});

test("everything answers: all steps are ok", () => {
	const { ok, steps, verdict } = report(web, db, { probe: reached });
	expect([ok, verdict]).toEqual([true, "web reaches db:5432 over front in 0.40 ms"]);
	expect(steps.map(({ name, status }) => `${name} ${status}`)).toEqual([
		"running ok",
		"network ok",
		"name ok",
		"neighbour ok",
		"ping ok",
		"path-mtu ok",
		"tcp ok",
	]);
});

const silence: ProbeResult = { ping: { error: "EAGAIN" }, tcp: { error: "ETIMEDOUT" } };
const refused: ProbeResult = { ...reached, tcp: { error: "ECONNREFUSED" } };
const outside: End = { name: "198.51.100.2", on: [] };

test.each<[string, End, End, Found]>([
	["db is not running: exited", web, { ...db, stopped: "exited" }, {}],
	[
		"no common network: web is on front, db on back; docker network connect back web would join them",
		web,
		end("db", "10.1.0.3", back),
		{ probe: silence },
	],
	[
		"web is on network loopback, which has no way out",
		end("web", undefined, network("loopback", { kind: "none" })),
		db,
		{ probe: { ping: { error: "ENETUNREACH" } } },
	],
	[
		"network out lets its sandboxes out, and not to each other",
		end("web", "10.0.0.2", network("out", { outbound: true, icc: false })),
		end("db", "10.0.0.3", network("out", { outbound: true, icc: false })),
		{ probe: silence },
	],
	[
		"no route: web is on internal networks only (inner)",
		end("web", "10.0.0.2", network("inner", { internal: true })),
		outside,
		{ probe: silence },
	],
	[
		"policy locked, rule 2 denies it",
		web,
		db,
		{ probe: silence, policy: { decision: "deny", text: "policy locked, rule 2 denies it" } },
	],
	["name unknown: db", web, db, { probe: { ...reached, dns: { addresses: [], rcode: 3 } } }],
	["nobody answers ARP for the address", web, db, { probe: { ...silence, neighbour: { error: "failed" } } }],
	["web gets no answer to ping from 198.51.100.2: nothing came back", web, outside, { probe: silence }],
	["db is not listening on TCP port 5432", web, db, { probe: refused, listeners: [] }],
	[
		"db listens on TCP port 5432 at 127.0.0.1 only: it must listen on 0.0.0.0 to be reached",
		web,
		db,
		{ probe: refused, listeners: ["127.0.0.1"] },
	],
	[
		"no answer from TCP port 5432: db listens there, so it is dropped on the way",
		web,
		db,
		{ probe: { ...reached, tcp: { error: "ETIMEDOUT" } }, listeners: ["0.0.0.0"] },
	],
])("where it fails: %s", (verdict, from, to, found) => {
	expect(report(from, to, found)).toMatchObject({ ok: false, verdict });
});

test("what the real test shows decides: a way that the records know nothing of is a note", () => {
	const { ok, steps } = report(web, end("db", "10.1.0.3", back), {
		probe: { ping: { error: "EAGAIN" }, tcp: { ms: 1 } },
	});
	expect(ok).toBe(true);
	expect(steps.filter(({ status }) => status === "note").map(({ name }) => name)).toEqual(["network", "ping"]);
});

test("without a port a ping is what counts", () => {
	expect(report(web, db, { probe: { ping: { ms: 1 } } }, null).ok).toBe(true);
	expect(report(web, db, { probe: { ping: { error: "EAGAIN" } } }, null).ok).toBe(false);
});

test("large packets that vanish are told, and do not fail the check", () => {
	const { ok, steps } = report(web, outside, {
		probe: { ping: { ms: 1 }, pathMtu: { error: "black hole" }, tcp: { ms: 2 } },
	});
	expect(ok).toBe(true);
	expect(steps.find(({ name }) => name === "path-mtu")?.detail).toContain("large packets are lost");
});

function dualEnd(name: string, last: number): End {
	const networks = [{ id: "front", name: "front", address: `10.0.0.${last}`, address6: `fd00::${last}` }];
	return { name, on: [front], sandbox: { id: name, name, networks, ports: [] }, namespace: `/ns/${name}` };
}

test("families: what both ends have, or the address is of, or the request says", () => {
	const [web6, db6] = [dualEnd("web", 2), dualEnd("db", 3)];
	const of = (from: End, to: End, family?: 4 | 6) =>
		familiesOf({ from: from.name, to: to.name, ...(family && { family }) }, from, to);
	expect([of(web6, db6), of(web6, db), of(web, db6), of(web6, db6, 6)]).toEqual([[4, 6], [4], [4], [6]]);
	const at = (name: string): End => ({ name, on: [] });
	expect([
		of(web6, at("2001:db8::1")),
		of(web6, at("192.0.2.1")),
		of(web6, at("example.org")),
		of(web, at("example.org")),
	]).toEqual([[6], [4], [4, 6], [4]]);
	const plan = planCheck({ from: "web", to: "db", port: 80 }, web6, db6, 6);
	expect(probeOf(plan, 1500)).toMatchObject({ address: "fd00::3", family: 6, onLink: true });
	const host: End = {
		name: "mon",
		on: [network("host", { kind: "host" })],
		sandbox: { id: "m", name: "mon", networks: [], ports: [] },
	};
	const gate = { ...web6, on: [network("front", { gateway6: "fd00::1" })] };
	expect(planCheck({ from: "web", to: "mon" }, gate, host, 6).target).toBe("fd00::1");
});

test("two families are one report: one that works is enough, what is wrong with the other is said", () => {
	const [web6, db6] = [dualEnd("web", 2), dualEnd("db", 3)];
	const request = { from: "web", to: "db", port: 5432 };
	const of = (family: 4 | 6, found: Found) => ({ family, report: judge(planCheck(request, web6, db6, family), found) });
	const reached6 = { ...reached, dns: { addresses: ["fd00::3"], rcode: 0 } };
	const good = joinReports([of(4, { probe: reached }), of(6, { probe: reached6 })]);
	expect([good.ok, good.verdict]).toEqual([true, "web reaches db:5432 over front in 0.40 ms"]);
	expect(good.steps.filter(({ name }) => name === "network")).toHaveLength(1);
	expect(good.steps.map(({ detail }) => detail)).toContain("IPv6: answers neighbour discovery as 02:42:0a:00:00:03");
	const half = joinReports([
		of(4, { probe: reached }),
		of(6, { probe: { ...reached6, tcp: { error: "ECONNREFUSED" } }, listeners: ["0.0.0.0"] }),
	]);
	expect([half.ok, half.steps.some(({ status }) => status === "fail")]).toEqual([true, false]);
	expect(half.verdict).toBe(
		"web reaches db:5432 over front in 0.40 ms, but not over IPv6: db listens on TCP port 5432 at 0.0.0.0 only: it must listen on :: to be reached",
	);
	const policy = { decision: "deny", text: "policy db, default: deny ingress" } as const;
	const none = joinReports([of(4, { probe: silence, policy }), of(6, { probe: silence, policy })]);
	expect([none.ok, none.verdict]).toEqual([false, "policy db, default: deny ingress"]);
});
