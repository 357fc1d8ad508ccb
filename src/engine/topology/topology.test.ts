import { expect, test } from "bun:test";
import type { Topology, TopologyNetwork, TopologySandbox } from "./contract.ts";
import { dotOf } from "./dot.ts";
import { HOST, INTERNET, reachOf } from "./reach.ts";
import { svgOf } from "./svg.ts";
import { textOf } from "./text.ts";

function network(name: string, more: Partial<TopologyNetwork> = {}): TopologyNetwork {
	const traits = { internal: false, icc: true, outbound: false };
	return { id: name, name, driver: "bridge", kind: "bridge", gateway: "g", ...traits, ...more };
}

function sandbox(name: string, on: readonly string[], port?: number): TopologySandbox {
	const networks = on.map((id, at) => ({ id, name: id, address: `10.0.${at}.2`, link: `eth${at}` }));
	const ports = port ? [{ protocol: "tcp", containerPort: 80, hostIp: "0.0.0.0", hostPort: port }] : [];
	return { id: name, name, networks, ports };
}

const networks = [
	network("front"),
	network("back", { internal: true }),
	network("closed", { icc: false }),
	network("out", { icc: false, outbound: true }),
	network("host", { kind: "host", driver: "host", icc: false, gateway: undefined }),
	network("loopback", { kind: "none", driver: "null", icc: false, gateway: undefined }),
];

/** `to how via` of all that one reaches. */
function from(name: string, ...sandboxes: TopologySandbox[]): string[] {
	return reachOf(networks, sandboxes)
		.filter((one) => one.from === name)
		.map(({ to, how, via }) => `${to} ${how} ${via}`);
}

test("members of a network reach each other, others what is published, host and internet", () => {
	const all = [
		sandbox("a", ["front"]),
		sandbox("b", ["front"]),
		sandbox("c", ["closed"], 8080),
		sandbox("d", ["closed"]),
	];
	expect(from("a", ...all)).toEqual(["b all front", "c ports front", `${HOST} all front`, `${INTERNET} all front`]);
	expect(from("d", ...all)).toEqual(["c ports closed", `${HOST} all closed`, `${INTERNET} all closed`]);
	expect(from(HOST, ...all)).toEqual(["a all front", "b all front", "c all closed", "d all closed"]);
});

test("an internal network leads to its members and the host only; one that is on another too gets out by that", () => {
	const all = [sandbox("a", ["back"]), sandbox("b", ["back", "front"]), sandbox("c", ["closed"], 8080)];
	expect(from("a", ...all)).toEqual(["b all back", `${HOST} all back`]);
	expect(from("b", ...all)).toEqual(["a all back", "c ports front", `${HOST} all back`, `${INTERNET} all front`]);
});

test("outbound reaches the internet alone and is reached by nobody; without interfaces there is nobody at all", () => {
	const all = [sandbox("a", ["out"]), sandbox("b", ["out"]), sandbox("c", ["front"], 8080), sandbox("l", ["loopback"])];
	expect(from("a", ...all)).toEqual([`${INTERNET} internet out`]);
	expect(from("l", ...all)).toEqual([]);
	expect(reachOf(networks, all).filter(({ to }) => ["a", "b", "l"].includes(to))).toEqual([]);
});

test("a container in the host's network is where the host is", () => {
	const all = [sandbox("h", ["host"]), sandbox("a", ["front"]), sandbox("o", ["out"])];
	expect(from("h", ...all)).toEqual(["a all front", `${INTERNET} all host`]);
	expect(from("a", ...all)).toContain("h all front");
	expect(from("o", ...all)).toEqual([`${INTERNET} internet out`]);
});

const picture: Topology = {
	instance: "fd",
	networks: [network("front", { subnet: "172.18.0.0/16" }), network("empty"), network("back", { internal: true })],
	sandboxes: [sandbox("web", ["front"], 8080), sandbox('d"b<', ["front", "back"])],
	reach: [{ from: "web", to: 'd"b<', how: "all", via: "front" }],
};

test("as text: every network with its members, and who reaches whom", () => {
	expect(textOf(picture)).toBe(`network front (bridge)  172.18.0.0/16  gateway g
  web   10.0.0.2  eth0  0.0.0.0:8080->80/tcp
  d"b<  10.0.0.2  eth0

network empty (bridge)  gateway g

network back (bridge)  gateway g  internal
  d"b<  10.0.1.2  eth1

who reaches whom
  web     d"b< over front
  d"b<    nobody
  (host)  nobody`);
});

test("as dot: networks that have members, and an edge with its address for each endpoint", () => {
	expect(dotOf(picture)).toBe(`graph "fd" {
	"network front" [shape=box style=filled fillcolor=lightgrey label="front\\n172.18.0.0/16"]
	"network back" [shape=box style=filled fillcolor=lightgrey label="back\\ninternal"]
	"sandbox web" [label="web\\n0.0.0.0:8080->80/tcp"]
	"sandbox d\\"b<" [label="d\\"b<"]
	"sandbox web" -- "network front" [label="10.0.0.2"]
	"sandbox d\\"b<" -- "network front" [label="10.0.0.2"]
	"sandbox d\\"b<" -- "network back" [label="10.0.1.2"]
}`);
});

test("as SVG: well formed, a bar for each network in use, a box for each sandbox, names escaped, nothing outside the picture", () => {
	const svg = svgOf(picture);
	expect(svg.match(/<rect x="10"/g)).toHaveLength(2);
	expect(svg.match(/fill="#f4f4f4"/g)).toHaveLength(2);
	expect(svg.match(/<line /g)).toHaveLength(3);
	expect(svg).toContain("d&quot;b&lt;");
	expect(svg).not.toContain('d"b<');
	const [, width = "0", height = "0"] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg) ?? [];
	const inside = (name: string, most: number) =>
		[...svg.matchAll(new RegExp(` ${name}="(\\d+)"`, "g"))].every(([, at]) => Number(at) <= most);
	expect([inside("x", Number(width)), inside("y", Number(height)), inside("y2", Number(height))]).toEqual([
		true,
		true,
		true,
	]);
});

test("policies take pairs away, or a part of them, which is told", () => {
	const all = [sandbox("a", ["front"]), sandbox("b", ["front"])];
	const policies = (one: string, other: string) =>
		other === "a" ? undefined : one === "a" && other === "b" ? ["only by p rules[0]"] : [];
	const reach = reachOf(networks, all, policies);
	expect(reach.map(({ from: one, to, limits }) => `${one} ${to} ${limits ?? ""}`)).toEqual([
		"a b only by p rules[0]",
		`a ${HOST} `,
		`a ${INTERNET} `,
		`b ${HOST} `,
		`b ${INTERNET} `,
		`${HOST} b `,
	]);
	expect(textOf({ instance: "t", networks: [], sandboxes: all, reach })).toContain("b over front (only by p rules[0])");
	const shared = [{ ...sandbox("side", ["front"]), owner: "a" }, ...all];
	expect(reachOf(networks, shared, policies).some(({ to }) => to === "side")).toBe(false);
});

test("addresses of both families are shown", () => {
	const dual: Topology = {
		instance: "t",
		networks: [network("front", { subnet: "10.0.0.0/16", subnet6: "fd00::/64", gateway6: "fd00::1" })],
		sandboxes: [
			{ ...sandbox("web", []), networks: [{ id: "front", name: "front", address: "10.0.0.2", address6: "fd00::2" }] },
		],
	};
	expect(textOf(dual)).toStartWith(
		"network front (bridge)  10.0.0.0/16  fd00::/64  gateway g fd00::1\n  web  10.0.0.2 fd00::2",
	);
	expect(dotOf(dual)).toContain('[label="10.0.0.2\\nfd00::2"]');
	expect(svgOf(dual)).toContain("fd00::2");
});
