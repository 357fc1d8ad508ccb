import { expect, test } from "bun:test";
import { compile } from "./compile.ts";
import { decide, type Party } from "./decide.ts";
import { explain, parseTarget } from "./explain.ts";
import { isNamed, nameSet } from "./names.ts";
import { parsePolicies } from "./parse.ts";
import type { Subject } from "./policy.ts";
import { rangesOf } from "./ranges.ts";
import { reachOf } from "./reach.ts";
import { nameViewOf } from "./resolver-view.ts";
import { isSubject } from "./select.ts";
import { selects } from "./selects.ts";

const subject = (name: string, address: string, more: Partial<Subject> = {}): Subject => ({
	id: name.repeat(8),
	name,
	labels: {},
	endpoints: [{ network: "front", bridge: "br-front", addresses: [address], link: `veth-${name}` }],
	...more,
});
const web = subject("web", "10.9.0.2");
const db = subject("db", "10.9.0.3", { labels: { role: "db", "com.docker.compose.project": "shop" } });
const outside = (address: string, ...names: string[]): Party => ({ addresses: [address], names });
const known = (policies: ReturnType<typeof parsePolicies>) => ({
	policies,
	subjects: [web, db],
	learned: [],
	answeredFor: () => [],
});

test("a selector's parts must all hold, an entry of a list is enough; nothing selects nothing", () => {
	expect(selects({}, web)).toBe(false);
	expect(selects({ all: true }, web)).toBe(true);
	expect(selects({ names: ["api", "w*b"] }, web)).toBe(true);
	expect(selects({ names: ["w*bb", "*eb*b", "W*"] }, web)).toBe(false);
	expect(selects({ labels: { role: "d*" }, projects: ["shop"], networks: ["front"] }, db)).toBe(true);
	expect(selects({ labels: { role: "db" }, networks: ["back"] }, db)).toBe(false);
	const [named] = parsePolicies({ name: "x" });
	if (!named) throw new Error("a policy");
	expect(isSubject(named, web)).toBe(false);
	expect(isSubject(named, subject("a", "10.9.0.4", { labels: { "foredeck.policy": "y, x" } }))).toBe(true);
});

test("deny wins over allow whatever the order and the policy, allow over a default, any default of deny closes", () => {
	const policies = parsePolicies([
		{ name: "a", select: { all: true }, rules: [{ action: "allow", to: ["10.0.0.0/8"] }] },
		{
			name: "b",
			select: { names: ["web"] },
			default: { egress: "deny" },
			rules: [{ action: "deny", to: ["10.1.0.0/16"], ports: ["1-99"] }],
		},
		{ name: "c", select: { names: ["web"] }, default: { egress: "allow" } },
	]);
	const to = (address: string, port?: number) =>
		decide(policies, web, "egress", outside(address), { protocol: "tcp", ...(port && { port }) });
	expect(to("10.1.0.1", 80)).toEqual({ direction: "egress", action: "deny", policy: "b", rule: 0, partly: [] });
	expect(to("10.1.0.1", 100)).toMatchObject({ action: "allow", policy: "a", rule: 0 });
	expect(to("192.0.2.1", 80)).toEqual({ direction: "egress", action: "deny", policy: "b", partly: [] });
	expect(to("10.1.0.1")).toMatchObject({ action: "allow", partly: [{ policy: "b", rule: 0, action: "deny" }] });
	expect(decide(policies, db, "egress", outside("192.0.2.1"), {})).toEqual({
		direction: "egress",
		action: "allow",
		partly: [],
	});
	expect(decide(policies, web, "ingress", outside("192.0.2.1"), {})).toEqual({
		direction: "ingress",
		action: "allow",
		partly: [],
	});
});

test("the model in the kernel: groups by what they are made of, addresses of peers, bridges that have policies", () => {
	const policies = parsePolicies([
		{
			name: "z",
			select: { names: ["web"] },
			default: { egress: "deny" },
			rules: [{ action: "allow", to: [{ sandboxes: { labels: { role: "db" } } }], ports: [5432] }],
		},
		{ name: "a", select: { all: true }, default: { egress: "deny" } },
	]);
	const model = compile(policies, [web, db]);
	expect(
		model.groups
			.map(({ policies: names, deniedBy }) => ({ names, deniedBy }))
			.toSorted((x, y) => x.names.length - y.names.length),
	).toEqual([
		{ names: ["a"], deniedBy: "a" },
		{ names: ["a", "z"], deniedBy: "a" },
	]);
	expect([...model.peers]).toEqual([["peer.z.0.0", ["10.9.0.3"]]]);
	expect(model.bridges).toEqual(["br-front"]);
	expect(model.sandboxes.map(({ ingress }) => ingress)).toEqual([undefined, undefined]);
	expect(compile(parsePolicies({ name: "a", select: { names: ["none"] } }), [web]).bridges).toEqual([]);
});

test("of several networks a peer is meant on those that are named", () => {
	const both = subject("both", "10.9.0.9", {
		endpoints: [...web.endpoints, { network: "back", bridge: "br-back", addresses: ["10.8.0.2"], link: "v" }],
	});
	const model = compile(
		parsePolicies({
			name: "a",
			select: { all: true },
			rules: [{ action: "deny", to: [{ sandboxes: { networks: ["back"] } }] }],
		}),
		[both],
	);
	expect(model.peers.get("peer.a.0.0")).toEqual(["10.8.0.2"]);
	expect(model.sandboxes[0]?.addresses).toEqual(["10.9.0.2", "10.8.0.2"]);
});

test("a network without parts of it is ranges", () => {
	expect(rangesOf("10.0.0.0/8", [])).toEqual(["10.0.0.0/8"]);
	expect(rangesOf("10.0.0.0/24", ["10.0.0.0/32", "10.0.0.128/25", "192.0.2.0/24"])).toEqual(["10.0.0.1-10.0.0.127"]);
	expect(rangesOf("10.0.0.0/30", ["10.0.0.1/32"])).toEqual(["10.0.0.0", "10.0.0.2-10.0.0.3"]);
	expect(rangesOf("10.0.0.0/24", ["10.0.0.0/16"])).toEqual([]);
	expect(rangesOf("2001:db8::/32", [])).toEqual(["2001:db8::/32"]);
	expect(rangesOf("2001:db8::/126", ["2001:db8::1/128", "10.0.0.0/8"])).toEqual([
		"2001:db8::",
		"2001:db8::2-2001:db8::3",
	]);
});

const dual = (name: string, end: number, more: Partial<Subject> = {}): Subject => ({
	...subject(name, `10.9.0.${end}`, more),
	endpoints: [
		{
			...{ network: "front", bridge: "br-front", link: `veth-${name}` },
			addresses: [`10.9.0.${end}`, `fd00:9::${end}`],
			gateways: ["10.9.0.1", "fd00:9::1"],
		},
	],
});

test("of two families, a peer is meant in both, a name in that of the answer; macvlan's addresses can be denied alone", () => {
	const [a, b] = [dual("a", 2), dual("b", 3)];
	const wire = subject("wire", "", {
		endpoints: [],
		elsewhere: [{ network: "lan", driver: "macvlan", addresses: ["192.0.2.9", "2001:db8::9"] }],
	});
	const peers = [{ sandboxes: { names: ["b", "wire"] } }];
	const policies = parsePolicies({
		name: "p",
		select: { names: ["a"] },
		default: { egress: "deny" },
		rules: [
			{ action: "allow", to: [...peers, "x.example.org"] },
			{ action: "deny", to: peers, ports: 23 },
		],
	});
	const model = compile(policies, [a, b, wire]);
	expect(model.sandboxes.map(({ addresses }) => addresses)).toEqual([
		["10.9.0.2", "fd00:9::2"],
		["10.9.0.3", "fd00:9::3"],
	]);
	expect(model.peers.get("peer.p.0.0")).toEqual(["10.9.0.3", "fd00:9::3"]);
	expect(model.peers.get("peer.p.1.0")).toEqual(["10.9.0.3", "fd00:9::3", "192.0.2.9", "2001:db8::9"]);
	const answers = ["192.0.2.1", "2001:db8::1"].map((address) => ({ address, ttl: 60 }));
	const learned = nameViewOf(policies, a)?.learnedOf("x.example.org", answers, { min: 30, max: 60 });
	expect(learned?.map(({ local, remote }) => `${local} ${remote}`)).toEqual([
		"10.9.0.2 192.0.2.1",
		"fd00:9::2 2001:db8::1",
	]);
});

test("explain tells each family's decision where they differ", () => {
	const policies = parsePolicies([
		{
			name: "out",
			select: { names: ["a"] },
			default: { egress: "deny" },
			rules: [{ action: "allow", to: ["10.9.0.0/24"] }],
		},
	]);
	const told = (to: string) =>
		explain({ policies, subjects: [dual("a", 2), dual("b", 3)], learned: [], answeredFor: () => [] }, "a", to);
	expect(told("b:80").allowed).toBe(false);
	expect(told("b:80").decisions).toMatchObject([
		{ action: "allow", policy: "out", rule: 0, over: "IPv4 on front" },
		{ action: "deny", policy: "out", over: "IPv6 on front" },
		{ action: "allow", direction: "ingress" },
	]);
	expect(told("host:80").decisions.map(({ action, over }) => `${action} ${over}`)).toEqual([
		"allow IPv4 on front",
		"deny IPv6 on front",
	]);
	expect(told("10.9.0.3").allowed).toBe(true);
	expect(told("[fd00:9::3]:80")).toMatchObject({ to: "fd00:9::3 (b)", port: 80, protocol: "tcp", allowed: false });
	expect(told("fd00:9::3/icmp").allowed).toBe(false);
	expect(told("2001:db8::1").decisions).toMatchObject([{ action: "deny", policy: "out" }]);
});

test("who reaches whom: nothing said where policies say nothing, what they leave, and undefined where they leave nothing", () => {
	const policies = parsePolicies([
		{
			name: "db",
			select: { names: ["b"] },
			default: { ingress: "deny" },
			rules: [{ action: "allow", from: [{ sandboxes: { names: ["a"] } }], ports: 5432 }],
		},
		{
			name: "six",
			select: { names: ["c"] },
			default: { egress: "deny" },
			rules: [{ action: "allow", to: ["10.0.0.0/8"] }],
		},
		{ name: "some", select: { names: ["a"] }, rules: [{ action: "deny", to: ["bad.example.org"] }] },
	]);
	const subjects = [dual("a", 2), dual("b", 3), dual("c", 4), dual("d", 5)];
	const known4 = { policies, subjects, learned: [], answeredFor: () => [] };
	const reach = (from: string, to: string) => {
		const id = (name: string) => (name.startsWith("(") ? name : name.repeat(8));
		return reachOf(known4, id(from), id(to), { host: "(host)", internet: "(internet)" });
	};
	expect([reach("a", "b"), reach("d", "b"), reach("(host)", "b")]).toEqual([
		["only by db rules[0]"],
		undefined,
		undefined,
	]);
	expect([reach("d", "a"), reach("b", "d"), reach("d", "(internet)")]).toEqual([[], [], []]);
	expect(reach("c", "d")).toEqual(["not over IPv6 on front"]);
	expect(reach("c", "(host)")).toEqual(["not over IPv6 on front"]);
	expect(reach("c", "(internet)")).toEqual(["only by six rules[0]"]);
	expect(reach("a", "(internet)")).toEqual(["not by some rules[0]"]);
	expect(reach("b", "(internet)")).toEqual([]);
});

test("names: a wildcard is every name below, not the name itself, and no other that ends alike", () => {
	expect(isNamed("a.b.example.org", "*.example.org")).toBe(true);
	expect(isNamed("example.org", "*.example.org")).toBe(false);
	expect(isNamed(".example.org", "*.example.org")).toBe(false);
	expect(isNamed("badexample.org", "*.example.org")).toBe(false);
	expect(isNamed("api.example.org", "api.example.org")).toBe(true);
});

test("an answer lets nothing through that is no machine elsewhere, and the link's own only for a name that is written out", () => {
	const bounds = { min: 1, max: 60 };
	const learned = (addresses: string[], ...rules: object[]) =>
		nameViewOf(parsePolicies([{ name: "a", select: { all: true }, default: { egress: "deny" }, rules }]), web)
			?.learnedOf(
				"api.example.org",
				addresses.map((address) => ({ address, ttl: 9 })),
				bounds,
			)
			.map(({ remote }) => remote);
	const metadata = "169.254.169.254";
	const nowhere = ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255"];
	const allow = (name: string) => ({ action: "allow", to: [name] });
	expect(learned([...nowhere, metadata, "10.0.0.9", "192.0.2.1"], allow("*.example.org"))).toEqual([
		"10.0.0.9",
		"192.0.2.1",
	]);
	expect(learned([...nowhere, metadata], allow("api.example.org"))).toEqual([metadata]);
	// What is denied is denied wherever it is.
	expect(learned([metadata], { action: "deny", to: ["*.example.org:80"] })).toEqual([metadata]);
});

test("with names alone allowed, others are not asked; an allowed network makes every name of use; a denied one never is", () => {
	const view = (...documents: object[]) => nameViewOf(parsePolicies(documents), web);
	const closed = { name: "a", select: { all: true }, default: { egress: "deny" } };
	const names = view({ ...closed, rules: [{ action: "allow", to: ["*.example.org:443"] }] });
	expect(names?.refusal("a.example.org")).toBeUndefined();
	expect(names?.refusal("example.net")).toEqual({ policy: "a", rule: "egress" });
	expect(view({ ...closed, rules: [{ action: "allow", to: ["10.0.0.0/8"] }] })?.refusal("example.net")).toBeUndefined();
	const denied = view({
		name: "d",
		select: { all: true },
		rules: [
			{ action: "deny", to: ["bad.example.org"] },
			{ action: "deny", to: ["half.example.org:80"] },
		],
	});
	expect(denied?.refusal("bad.example.org")).toEqual({ policy: "d", rule: 0 });
	expect(denied?.refusal("half.example.org")).toBeUndefined();
	expect(view({ name: "open", select: { all: true } })).toBeUndefined();
	const learned = names?.learnedOf("a.example.org", [{ address: "192.0.2.1", ttl: 5 }], { min: 30, max: 60 });
	expect(learned).toEqual([{ set: nameSet("*.example.org"), local: "10.9.0.2", remote: "192.0.2.1", seconds: 30 }]);
	expect(names?.learnedOf("b.example.net", [{ address: "192.0.2.1", ttl: 5 }], { min: 30, max: 60 })).toEqual([]);
});

test("explain takes containers, the host, addresses and host names, and tells both ends' deciders", () => {
	const policies = parsePolicies([
		{
			name: "out",
			select: { names: ["web"] },
			default: { egress: "deny" },
			rules: [{ action: "allow", to: ["api.example.org:443", { sandboxes: { names: ["db"] }, ports: 5433 }] }],
		},
		{
			name: "in",
			select: { names: ["db"] },
			default: { ingress: "deny" },
			rules: [{ action: "allow", from: ["host"] }],
		},
	]);
	const told = explain(known(policies), "web", "db:5432");
	expect(told).toMatchObject({ from: "web", to: "db", port: 5432, protocol: "tcp", allowed: false });
	expect(told.decisions).toMatchObject([
		{ direction: "egress", action: "deny", policy: "out", partly: [] },
		{ direction: "ingress", action: "deny", policy: "in" },
	]);
	expect(explain(known(policies), "host", "db:5432").allowed).toBe(true);
	expect(explain(known(policies), "web", "10.9.0.3").to).toBe("10.9.0.3 (db)");
	expect(explain(known(policies), "web", "api.example.org:443")).toMatchObject({
		allowed: true,
		notes: [expect.stringContaining("has not been resolved")],
	});
	const resolved = {
		...known(policies),
		learned: [{ set: nameSet("api.example.org"), local: "10.9.0.2", remote: "192.0.2.7", seconds: 9 }],
	};
	expect(explain(resolved, "web", "192.0.2.7:443").allowed).toBe(true);
	expect(explain(resolved, "web", "192.0.2.8:443").allowed).toBe(false);
	expect(() => explain(known(policies), "wbe", "db")).toThrow(
		"no running container wbe on a bridge network: there are web, db",
	);
	expect(parseTarget("db:53/udp")).toEqual({ target: "db", port: 53, protocol: "udp" });
	expect(parseTarget("db/icmp")).toEqual({ target: "db", protocol: "icmp" });
	expect(() => parseTarget("db:1/gre")).toThrow("allowed are tcp, udp, icmp");
});
