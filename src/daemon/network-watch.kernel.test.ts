import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../shared/log.ts";
import { check, libc } from "../sys/linux/libc.ts";
import { createNetns, openNetns, removeNetns, withNetns, writeSysctl } from "../sys/linux/netns.ts";
import { Nftables } from "../sys/linux/nftables.ts";
import { closePort } from "../sys/linux/port-socket.ts";
import { changesWayOut } from "../sys/linux/route-watch.ts";
import { buildOutside, HOST, OUTSIDE } from "../sys/linux/testing/outside-host.ts";
import { forgetStale, watchWayOut } from "./network-watch.ts";

/** The host is a fresh namespace with two ways to 203.0.113.10: the wire, and `vpn`, where another machine has that address too. `inner` is a sandbox. */
const root = mkdtempSync(join(tmpdir(), `foredeck-way-out-${process.pid}-`));
const [outside, vpn, inner] = ["outside", "vpn", "inner"].map((name) => join(root, name)) as [string, string, string];
const SERVER = "203.0.113.10";
const SERVER6 = "2001:db8:113::10";
const NETWORKS = [
	{ bridge: "bri", subnet: "10.9.0.0/24" },
	{ bridge: "bri", subnet: "fd00:9::/64" },
];
const servers: { close(): void }[] = [];
let home: number;

beforeAll(async () => {
	home = openNetns("/proc/thread-self/ns/net");
	check(libc.unshare(0x40000000), "unshare --net");
	buildOutside(outside);
	for (const path of [vpn, inner]) createNetns(path, () => {});
	cable("tun0", "192.0.2.1/24", vpn, "192.0.2.2/24");
	cable("bri", "10.9.0.1/24", inner, "10.9.0.2/24");
	run(inner, "ip", "route", "add", "default", "via", "10.9.0.1");
	writeSysctl("net.ipv4.ip_forward", "1");
	buildSix();
	run(undefined, "ip", "route", "add", "default", "via", OUTSIDE);
	using nft = new Nftables();
	nft.run(
		"table inet t { chain c { type nat hook postrouting priority srcnat; ip saddr 10.9.0.0/24 oifname != bri masquerade; ip6 saddr fd00:9::/64 oifname != bri masquerade; }; }",
	);
	for (const path of [outside, vpn]) {
		run(path, "ip", "link", "set", "lo", "up");
		run(path, "ip", "addr", "add", `${SERVER}/32`, "dev", "lo");
		run(path, "ip", "addr", "add", `${SERVER6}/128`, "dev", "lo", "nodad");
		for (const hostname of [SERVER, SERVER6]) {
			const socket = { data: (s: Answerer, _: unknown, port: number, from: string) => void s.send(from, port, from) };
			servers.push(await withNetns(path, () => Bun.udpSocket({ hostname, port: 7000, socket })));
		}
	}
});

afterAll(() => {
	for (const server of servers) server.close();
	for (const path of [outside, vpn, inner]) removeNetns(path);
	check(libc.setns(home, 0x40000000), "setns");
	closePort(home);
	rmSync(root, { recursive: true, force: true });
});

test("flows behind an address that the way out has no more are forgotten, once; others stay", async () => {
	using client = await openClient();
	expect(await client.seenAs()).toBe(HOST);
	expect(forgetStale(NETWORKS)).toBe(0);
	run(undefined, "ip", "route", "replace", "default", "via", "192.0.2.2", "dev", "tun0");
	expect(forgetStale([{ bridge: "bri", subnet: "10.8.0.0/24" }])).toBe(0);
	expect(forgetStale(NETWORKS)).toBe(1);
	expect(forgetStale(NETWORKS)).toBe(0);
	expect(await client.seenAs()).toBe("192.0.2.1");
	run(undefined, "ip", "route", "replace", "default", "via", OUTSIDE, "dev", "wire");
	expect(forgetStale(NETWORKS)).toBe(1);
});

test("policy routing counts: a rule that sends sandboxes another way", async () => {
	using client = await openClient();
	expect(await client.seenAs()).toBe(HOST);
	run(undefined, "ip", "route", "add", "default", "via", "192.0.2.2", "table", "77");
	run(undefined, "ip", "rule", "add", "iif", "bri", "lookup", "77");
	expect(forgetStale(NETWORKS)).toBe(1);
	expect(await client.seenAs()).toBe("192.0.2.1");
	run(undefined, "ip", "rule", "del", "iif", "bri", "lookup", "77");
	expect(forgetStale(NETWORKS)).toBe(1);
});

test("of IPv6 as well: NAT66's flows follow, IPv4's stay", async () => {
	using four = await openClient();
	using six = await openClient("fd00:9::2", SERVER6);
	expect([await four.seenAs(), await six.seenAs()]).toEqual([HOST, "2001:db8:1::1"]);
	expect(forgetStale(NETWORKS)).toBe(0);
	run(undefined, "ip", "-6", "route", "replace", "default", "via", "2001:db8:2::2", "dev", "tun0");
	expect(forgetStale(NETWORKS)).toBe(1);
	expect([await four.seenAs(), await six.seenAs()]).toEqual([HOST, "2001:db8:2::1"]);
	run(undefined, "ip", "-6", "route", "replace", "default", "via", "2001:db8:1::2", "dev", "wire");
	expect(forgetStale(NETWORKS)).toBe(1);
	expect(await six.seenAs()).toBe("2001:db8:1::1");
});

test("the watch tells of default routes and rules, and of no other route; several changes are one", async () => {
	const seen: string[] = [];
	const log = { ...silentLogger, info: (message: string) => void seen.push(message) };
	using _ = watchWayOut(() => NETWORKS, log, 60);
	run(undefined, "ip", "route", "add", "192.168.9.0/24", "via", OUTSIDE);
	await Bun.sleep(150);
	expect(seen).toEqual([]);
	run(undefined, "ip", "route", "add", "0.0.0.0/1", "via", "192.0.2.2");
	run(undefined, "ip", "route", "add", "128.0.0.0/1", "via", "192.0.2.2");
	await Bun.sleep(200);
	expect(seen).toEqual(["the host's way out changed"]);
	run(undefined, "ip", "rule", "add", "fwmark", "7", "lookup", "77");
	await Bun.sleep(200);
	expect(seen).toHaveLength(2);
	run(undefined, "ip", "-6", "route", "add", "2001:db8:77::/48", "via", "2001:db8:1::2");
	await Bun.sleep(150);
	expect(seen).toHaveLength(2);
	run(undefined, "ip", "-6", "route", "add", "2000::/3", "via", "2001:db8:2::2");
	await Bun.sleep(200);
	expect(seen).toHaveLength(3);
	run(undefined, "ip", "-6", "rule", "add", "fwmark", "7", "lookup", "77");
	await Bun.sleep(200);
	expect(seen).toHaveLength(4);
});

test("a message that is too short is about nothing", () => {
	expect(changesWayOut(new Uint8Array(8))).toBe(false);
});

/** A program in the sandbox that keeps its socket: what address does the server see? */
async function openClient(hostname = "10.9.0.2", server = SERVER) {
	let heard: (text: string) => void = () => {};
	const open = () => Bun.udpSocket({ hostname, socket: { data: (_, bytes) => heard(bytes.toString()) } });
	const socket = await withNetns(inner, open);
	return {
		seenAs() {
			const { promise, resolve } = Promise.withResolvers<string>();
			heard = resolve;
			socket.send("hello", 7000, server);
			setTimeout(resolve, 500, "nobody");
			return promise;
		},
		[Symbol.dispose]: () => socket.close(),
	};
}

interface Answerer {
	send(data: string, port: number, address: string): unknown;
}

/** The same two ways of IPv6. */
function buildSix(): void {
	const addresses: [string | undefined, string, string][] = [
		[undefined, "wire", "2001:db8:1::1/64"],
		[outside, "eth0", "2001:db8:1::2/64"],
		[undefined, "tun0", "2001:db8:2::1/64"],
		[vpn, "eth0", "2001:db8:2::2/64"],
		[undefined, "bri", "fd00:9::1/64"],
		[inner, "eth0", "fd00:9::2/64"],
	];
	for (const [path, link, address] of addresses) run(path, "ip", "addr", "add", address, "dev", link, "nodad");
	run(inner, "ip", "-6", "route", "add", "default", "via", "fd00:9::1");
	writeSysctl("net/ipv6/conf/all/forwarding", "1");
	run(undefined, "ip", "-6", "route", "add", "default", "via", "2001:db8:1::2");
}

function cable(name: string, address: string, path: string, far: string): void {
	const fd = openNetns(path);
	run(
		undefined,
		"ip",
		"link",
		"add",
		"name",
		name,
		"type",
		"veth",
		"peer",
		"name",
		"eth0",
		"netns",
		`/proc/${process.pid}/fd/${fd}`,
	);
	closePort(fd);
	run(undefined, "ip", "addr", "add", address, "dev", name);
	run(undefined, "ip", "link", "set", name, "up");
	run(path, "ip", "addr", "add", far, "dev", "eth0");
	run(path, "ip", "link", "set", "eth0", "up");
}

/** In a namespace, or in this thread's. */
function run(path: string | undefined, ...command: string[]): void {
	const argv = path ? ["nsenter", `--net=${path}`, ...command] : command;
	const { exitCode, stderr } = Bun.spawnSync(argv);
	if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr}`);
}
