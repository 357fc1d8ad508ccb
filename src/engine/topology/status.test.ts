import { expect, test } from "bun:test";
import type { NetworkObserver, ObservedLink, TopologyNetwork, TopologySandbox } from "./contract.ts";
import { type Owned, statusOf } from "./status.ts";

const network: TopologyNetwork = {
	id: "n",
	name: "front",
	driver: "bridge",
	kind: "bridge",
	bridge: "br-n",
	internal: false,
	icc: true,
	outbound: false,
};
const web: TopologySandbox = {
	id: "w",
	name: "web",
	networks: [{ id: "n", name: "front", address: "10.0.0.2", hostLink: "veth1" }],
	ports: [{ protocol: "tcp", containerPort: 80, hostIp: "0.0.0.0", hostPort: 8080 }],
};
const owned: Owned = {
	mark: "foredeck fd",
	networks: [network],
	sandboxes: [web],
	namespaces: ["/ns/w", "/ns/spare"],
	links: ["veth1", "veth-spare"],
	leases: [{ containerId: "w", network: "front", address: "10.0.0.2" }],
};

function link(index: number, name: string, more: Partial<ObservedLink> = {}): ObservedLink {
	return { index, name, alias: "", up: true, mtu: 1500, rxBytes: 10, txBytes: 20, errors: 0, dropped: 1, ...more };
}

const bridge = link(7, "br-n", { alias: "foredeck fd", mtu: 1400 });
const links = [link(2, "eth0"), bridge, link(8, "veth1", { master: 7 }), link(9, "veth-spare", { master: 7 })];

function observer(more: Partial<NetworkObserver> = {}): NetworkObserver {
	return {
		links: () => links,
		namespaces: () => ["/ns/w", "/ns/spare"],
		forwards: () => new Map([["tcp . 8080", "10.0.0.2 . 80"]]),
		...more,
	};
}

test("all as it should be: counters of the bridge's ports, no leaks, no faults", () => {
	const traffic = { sentBytes: 20, receivedBytes: 40, dropped: 2, errors: 0 };
	expect(statusOf(owned, observer())).toEqual({
		bridges: [{ name: "br-n", network: "front", up: true, mtu: 1400, sandboxes: 1, ...traffic }],
		ports: [{ container: "web", published: "0.0.0.0:8080->80/tcp", active: true }],
		leaks: [],
		faults: [],
	});
});

test("what no record owns is a leak; others' interfaces and ports are not ours to tell of", () => {
	const more = [
		link(10, "br-old", { alias: "foredeck fd" }),
		link(11, "vethx", { master: 10 }),
		link(12, "br-x", { alias: "foredeck other" }),
	];
	const { leaks } = statusOf(
		{ ...owned, leases: [...owned.leases, { containerId: "gone", network: "front", address: "10.0.0.9" }] },
		observer({
			links: () => [...links, ...more],
			namespaces: () => ["/ns/w", "/ns/spare", "/ns/old"],
			forwards: () =>
				new Map([
					["tcp . 8080", "10.0.0.2 . 80"],
					["127.0.0.1 . udp . 53", "10.0.0.9 . 53"],
				]),
		}),
	);
	expect(leaks.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
		"interface br-old",
		"interface vethx",
		"namespace /ns/old",
		"port 127.0.0.1 . udp . 53 to 10.0.0.9 . 53",
		"lease 10.0.0.9 on front of container gone",
	]);
});

test("ports of the two families are told apart", () => {
	const [port] = web.ports;
	if (!port) throw new Error("a port");
	const ports = ["0.0.0.0", "::", "2001:db8::1"].map((hostIp) => ({ ...port, hostIp }));
	const active = (forwards: [string, string][]) =>
		statusOf({ ...owned, sandboxes: [{ ...web, ports }] }, observer({ forwards: () => new Map(forwards) })).ports.map(
			(one) => one.active,
		);
	expect(active([["tcp . 8080", "10.0.0.2 . 80"]])).toEqual([true, false, false]);
	expect(
		active([
			["ip6 tcp . 8080", "x"],
			["ip6 2001:db8::1 . tcp . 8080", "x"],
		]),
	).toEqual([false, true, true]);
});

test("what is missing is a fault, and a port that the ruleset has not is not active", () => {
	const bare = statusOf(owned, observer({ links: () => [], namespaces: () => ["/ns/w"], forwards: () => undefined }));
	expect(bare.faults).toEqual([
		"bridge br-n of network front is missing",
		"interface veth1 of web on front is missing",
		"namespace /ns/spare is missing",
		"the firewall table is missing",
	]);
	expect(bare.ports[0]?.active).toBe(false);
	const torn = [{ ...bridge, up: false }, link(8, "veth1"), link(9, "veth-spare", { master: 7 })];
	expect(statusOf(owned, observer({ links: () => torn })).faults).toEqual([
		"bridge br-n of network front is down",
		"interface veth1 of web is not on bridge br-n",
	]);
});
