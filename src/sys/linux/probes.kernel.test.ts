import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseIpv4, parseIpv6 } from "../../shared/ip.ts";
import { addAddress6 } from "./address.ts";
import { neighbour, neighbourIn } from "./arp.ts";
import { addressesIn, askName } from "./dns-probe.ts";
import { pathMtu, ping } from "./icmp.ts";
import { check, libc } from "./libc.ts";
import { findLink } from "./link.ts";
import { neighbour6 } from "./ndp.ts";
import { RouteSocket } from "./netlink.ts";
import { openNetns, removeNetns, withNetns } from "./netns.ts";
import { closePort } from "./port-socket.ts";
import { connectTcp, listeners, listenersIn } from "./tcp-probe.ts";
import { buildOutside, HOST, OUTSIDE, serveTcp } from "./testing/outside-host.ts";

const root = mkdtempSync(join(tmpdir(), `foredeck-probes-${process.pid}-`));
const outside = join(root, "outside");
const [host, other, nobody] = [HOST, OUTSIDE, "198.51.100.9"].map((text) => parseIpv4(text) ?? 0) as [
	number,
	number,
	number,
];
let home: number;

beforeAll(() => {
	home = openNetns("/proc/thread-self/ns/net");
	check(libc.unshare(0x40000000), "unshare --net");
	buildOutside(outside);
});

afterAll(() => {
	removeNetns(outside);
	check(libc.setns(home, 0x40000000), "setns");
	closePort(home);
	rmSync(root, { recursive: true, force: true });
});

test("a ping has an answer or none in time, and ARP tells which neighbour is there", () => {
	expect(ping(other, 500)).toHaveProperty("ms");
	expect(neighbour(OUTSIDE)).toEqual({ mac: "02:00:00:00:00:02" });
	expect(ping(nobody, 100)).toEqual({ error: "EAGAIN" });
	expect(neighbour(nobody === 0 ? "" : "198.51.100.9")).toEqual({ error: "failed" });
	expect(neighbour("198.51.100.77")).toEqual({ error: "unknown" });
	expect(ping(parseIpv4("203.0.113.1") ?? 0, 100)).toEqual({ error: "ENETUNREACH" });
});

test("the same of IPv6: ping, neighbours, the path's MTU, TCP, and AAAA records", async () => {
	const [own, there, gone] = ["2001:db8:1::1", "2001:db8:1::2", "2001:db8:1::9"].map(
		(text) => parseIpv6(text) ?? 0n,
	) as [bigint, bigint, bigint];
	const wire = (name: string, address: bigint) => {
		using socket = new RouteSocket();
		socket.request(addAddress6(findLink(socket, name)?.index ?? 0, address, 64));
	};
	wire("wire", own);
	withNetns(outside, () => wire("eth0", there));
	// The kernel lets IPv6 on a new link a little later.
	for (let tries = 0; tries < 20 && !("ms" in ping(there, 100)); tries++) await Bun.sleep(50);
	expect(ping(there, 500)).toHaveProperty("ms");
	expect(neighbour6(there)).toEqual({ mac: "02:00:00:00:00:02" });
	expect(ping(gone, 100)).toEqual({ error: "EAGAIN" });
	expect(neighbour6(gone)).toEqual({ error: "failed" });
	expect(neighbour6(own + 99n)).toEqual({ error: "unknown" });
	expect(ping(parseIpv6("2001:db8:99::1") ?? 0n, 100)).toEqual({ error: "ENETUNREACH" });
	expect(pathMtu(there, 1500, 500)).toEqual({ bytes: 1500 });
	Bun.spawnSync(["ip", "link", "set", "wire", "mtu", "1300"]);
	expect(pathMtu(there, 1500, 500)).toEqual({ bytes: 1300 });
	Bun.spawnSync(["ip", "link", "set", "wire", "mtu", "1500"]);
	expect(connectTcp(there, 7001, 500)).toEqual({ error: "ECONNREFUSED" });
	const record = [0, 28, 0, 1, 0, 0, 0, 1, 0, 16, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
	expect(addressesIn(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, ...record))).toEqual(["2001:db8::7"]);
});

test("the path's MTU is the link's, or the smaller one that a router tells of", () => {
	expect(pathMtu(other, 1500, 500)).toEqual({ bytes: 1500 });
	Bun.spawnSync(["ip", "link", "set", "wire", "mtu", "1300"]);
	// From the other machine the host's address is behind a link that takes 1500 here and 1300 there: lost, and nobody tells.
	expect(withNetns(outside, () => pathMtu(host, 1500, 100))).toEqual({ error: "black hole" });
	expect(pathMtu(other, 1500, 500)).toEqual({ bytes: 1300 });
	Bun.spawnSync(["ip", "link", "set", "wire", "mtu", "1500"]);
});

test("a TCP port answers, refuses, or is silent; listeners are found by port", async () => {
	using _ = serveTcp(outside, 7000, "x");
	expect(withNetns(outside, () => listeners(7000))).toEqual(["0.0.0.0"]);
	expect(listeners(7000)).toEqual([]);
	expect(connectTcp(other, 7000, 500)).toHaveProperty("ms");
	expect(connectTcp(other, 7001, 500)).toEqual({ error: "ECONNREFUSED" });
	expect(connectTcp(nobody, 7000, 100)).toEqual({ error: "ETIMEDOUT" });
});

test("a resolver that is not there refuses", () => {
	expect(askName(other, "web", 300)).toEqual({ error: "ECONNREFUSED" });
});

test("the kernel's tables are read as it writes them", () => {
	const head = "  sl  local_address rem_address   st tx_queue\n";
	const line = (address: string, state: string) => `   0: ${address}:1F90 00000000:0000 ${state} 00000000:00000000\n`;
	const table = head + line("0100007F", "0A") + line("00000000", "01") + line("0200000A", "0A");
	expect(listenersIn(table, 8080)).toEqual(["127.0.0.1", "10.0.0.2"]);
	const six = [
		"00000000000000000000000000000000",
		"00000000000000000000000001000000",
		"0000000000000000FFFF00000100007F",
	];
	expect(listenersIn(head + six.map((one) => line(one, "0A")).join(""), 8080)).toEqual(["::", "::1", "127.0.0.1"]);
	const arp =
		"IP address HW type Flags HW address Mask Device\n10.0.0.2 0x1 0x2 02:42:0a:00:00:02 * eth0\n10.0.0.3 0x1 0x0 00:00:00:00:00:00 * eth0\n";
	expect(neighbourIn(arp, "10.0.0.2")).toEqual({ mac: "02:42:0a:00:00:02" });
	expect(neighbourIn(arp, "10.0.0.3")).toEqual({ error: "failed" });
});

test("addresses are read from a reply with a pointer and a CNAME before them", () => {
	const header = [0, 1, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
	const question = [1, 97, 0, 0, 1, 0, 1];
	const cname = [0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 3, 1, 98, 0];
	const a = [1, 98, 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 7];
	expect(addressesIn(Uint8Array.from([...header, ...question, ...cname, ...a]))).toEqual(["10.0.0.7"]);
	expect(addressesIn(Uint8Array.from([...header, ...question, ...cname.slice(0, 8)]))).toEqual([]);
});
