import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { parseIpv6 } from "../../shared/ip.ts";
import { addAddress6 } from "../../sys/linux/address.ts";
import { findLink } from "../../sys/linux/link.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { withNetns } from "../../sys/linux/netns.ts";
import { addDefaultRoute } from "../../sys/linux/route.ts";
import { ask, HOST, serveTcp } from "../../sys/linux/testing/outside-host.ts";
import { advertiseRouter } from "../../sys/linux/testing/router.ts";
import { portOf, TestNetworks } from "../../testing/network-host.ts";

/** `outside` of these tests has both families, and knows no way to our networks but the host. */
const HOST6 = "2001:db8:1::1";
const OUTSIDE6 = "2001:db8:1::2";
let lab: TestNetworks;

beforeAll(async () => {
	lab = new TestNetworks({ instance: "t6", network: { enableIpv6: true } });
	addWire("wire", HOST6);
	withNetns(lab.outside, () => {
		addWire("eth0", OUTSIDE6);
		using inside = new RouteSocket();
		inside.request(addDefaultRoute(2, parseIpv6(HOST6) ?? 0n));
	});
	await lab.start();
});

afterAll(() => lab.end());

afterEach(() => lab.clear());

test("members of a network have addresses of both families at once, and reach each other, the host and the outside", async () => {
	await lab.create("dual");
	const [a, b] = [await lab.on("a", "dual"), await lab.on("b", "dual")];
	expect(a.settings.endpoints[0]).toMatchObject({ ipAddress: "172.18.0.2", ipv6PrefixLength: 64 });
	expect(a.address6).toEndWith("::2");
	expect(a.settings.endpoints[0]?.ipv6Gateway).toBe(a.address6.replace(/2$/, "1"));
	using _a = serve6(a.path, 80, "a");
	using _out = serve6(lab.outside, 7000, "outside");
	expect(await ask(b.path, a.address6, 80)).toBe(`a;${b.address6}`);
	expect(await ask(undefined, a.address6, 80)).toStartWith("a;");
	// NAT66: the outside sees the host.
	expect(await ask(b.path, OUTSIDE6, 7000)).toBe(`outside;${HOST6}`);
	expect(ping(b.path, OUTSIDE6)).toContain(" 0% packet loss");
	expect(await ask(lab.outside, a.address6, 80)).toBe("closed");
});

test("the host keeps learning its own routes: no interface but ours is made a router's", () => {
	const conf = (name: string) => readFileSync(`/proc/sys/net/ipv6/conf/${name}`, "utf8").trim();
	const fresh = conf("all/forwarding") === "0";
	expect(conf("wire/accept_ra")).toBe(fresh ? "1" : "2");
});

test("the way out that the host has learned from a router stays while networks come", async () => {
	const learned = () => /^0{32} 00 .* fe80\S+ .* wire$/m.test(readFileSync("/proc/thread-self/net/ipv6_route", "utf8"));
	for (let tries = 0; tries < 200 && !learned(); tries++) {
		withNetns(lab.outside, () => advertiseRouter(2));
		await Bun.sleep(25);
	}
	expect(learned()).toBe(true);
	await lab.create("new");
	expect(learned()).toBe(true);
	withNetns(lab.outside, () => advertiseRouter(2, 0));
});

test("a network without IPv4 gives IPv6 alone, and its ports are published on it alone", async () => {
	await lab.create("six", { enableIpv4: false });
	const web = await lab.on("web", "six", {}, [portOf(80, 8080)]);
	expect(web.settings.endpoints[0]?.ipAddress).toBeUndefined();
	expect(web.settings.ports.map(({ hostIp }) => hostIp)).toEqual(["::"]);
	using _ = serve6(web.path, 80, "web");
	expect(await ask(lab.outside, HOST6, 8080)).toBe(`web;${OUTSIDE6}`);
	expect(await ask(lab.outside, HOST, 8080)).toBe("closed");
});

test("a published port answers both families from outside, the host, other networks and itself; only itself is masqueraded", async () => {
	await lab.create("dual");
	await lab.create("other");
	const web = await lab.on("web", "dual", {}, [portOf(80, 8080)]);
	const [sibling, stranger] = [await lab.on("sibling", "dual"), await lab.on("stranger", "other")];
	expect(web.settings.ports.map(({ hostIp, hostPort }) => `${hostIp} ${hostPort}`)).toEqual([
		"0.0.0.0 8080",
		":: 8080",
	]);
	using _4 = serveTcp(web.path, 80, "web");
	using _6 = serve6(web.path, 80, "web");
	expect(await ask(lab.outside, HOST, 8080)).toStartWith("web;");
	expect(await ask(lab.outside, HOST6, 8080)).toBe(`web;${OUTSIDE6}`);
	expect(await ask(undefined, HOST6, 8080)).toStartWith("web;");
	expect(await ask(stranger.path, HOST6, 8080)).toStartWith("web;");
	expect(await ask(sibling.path, HOST6, 8080)).toStartWith("web;");
	expect(await ask(web.path, HOST6, 8080)).toStartWith("web;");
	// Which the kernel does not translate: the relay has it.
	expect(await ask(undefined, "::1", 8080)).toBe(`web;${web.settings.endpoints[0]?.ipv6Gateway}`);
	expect(await ask(undefined, "127.0.0.1", 8080)).toStartWith("web;");
	expect(await ask(stranger.path, web.address6, 80)).toBe("closed");
	await lab.sandboxes.leave("web");
	lab.joined.delete("web");
	expect(await ask(lab.outside, HOST6, 8080)).toBe("closed");
});

test("a port on one address answers there alone, ::1 too, which the kernel does not translate", async () => {
	await lab.create("dual");
	const at = (hostIp: string, hostPort: number) => ({ ...portOf(80, hostPort), hostIp });
	const web = await lab.on("web", "dual", {}, [at(HOST6, 8081), at("127.0.0.1", 8082)]);
	const other = await lab.on("other", "dual");
	using _ = serve6(web.path, 80, "web");
	expect(await ask(lab.outside, HOST6, 8081)).toStartWith("web;");
	expect(await ask(lab.outside, HOST, 8081)).toBe("closed");
	expect(await ask(lab.outside, HOST6, 8082)).toBe("closed");
	expect(await ask(other.path, HOST6, 8082)).toBe("closed");
	const local = await lab.on("local", "dual", {}, [at("::1", 8083)]);
	using _l = serve6(local.path, 80, "local");
	expect(await ask(undefined, "::1", 8083)).toStartWith("local;");
	expect(await ask(lab.outside, HOST6, 8083)).toBe("closed");
	await lab.create("six", { enableIpv4: false });
	await expect(lab.on("no", "six", {}, [at("127.0.0.1", 8084)])).rejects.toThrow("leads outside by IPv4");
});

test("networks are apart in IPv6 too, and an internal one leads nowhere", async () => {
	await lab.create("blue");
	await lab.create("red");
	await lab.create("inner", { internal: true });
	const [a, b, c] = [await lab.on("a", "blue"), await lab.on("b", "red"), await lab.on("c", "inner")];
	using _a = serve6(a.path, 80, "a");
	using _c = serve6(c.path, 80, "c");
	using _out = serve6(lab.outside, 7000, "outside");
	expect(await ask(b.path, a.address6, 80)).toBe("closed");
	expect(await ask(a.path, c.address6, 80)).toBe("closed");
	expect(await ask(undefined, c.address6, 80)).toStartWith("c;");
	expect(c.settings.endpoints[0]?.ipv6Gateway).toBeUndefined();
	withNetns(c.path, () => {
		using inside = new RouteSocket();
		inside.request(addDefaultRoute(2, (parseIpv6(c.address6) ?? 0n) - 1n));
	});
	expect(await ask(c.path, OUTSIDE6, 7000)).toBe("closed");
	expect(await ask(a.path, OUTSIDE6, 7000)).toStartWith("outside;");
});

test("a routed network keeps its addresses outside, is pinged there, and answers at its published ports", async () => {
	await lab.create("routed", { options: { "com.docker.network.bridge.gateway_mode_ipv6": "routed" } });
	const web = await lab.on("web", "routed", {}, [portOf(80, 8084)]);
	using _80 = serve6(web.path, 80, "web");
	using _81 = serve6(web.path, 81, "hidden");
	using _out = serve6(lab.outside, 7000, "outside");
	expect(web.settings.ports.map(({ hostIp, hostPort }) => `${hostIp} ${hostPort}`)).toEqual(["0.0.0.0 8084", ":: 0"]);
	expect(await ask(web.path, OUTSIDE6, 7000)).toBe(`outside;${web.address6}`);
	expect(await ask(lab.outside, web.address6, 80)).toBe(`web;${OUTSIDE6}`);
	expect(await ask(lab.outside, web.address6, 81)).toBe("closed");
	expect(ping(lab.outside, web.address6)).toContain(" 0% packet loss");
});

test("what is too big for the way is told to the sender", async () => {
	await lab.create("dual");
	const a = await lab.on("a", "dual");
	Bun.spawnSync(["ip", "link", "set", "wire", "mtu", "1300"]);
	try {
		const big = Bun.spawnSync([
			"nsenter",
			`--net=${a.path}`,
			"ping",
			"-6",
			"-c",
			"2",
			"-i",
			"0.2",
			"-W",
			"1",
			"-M",
			"do",
			"-s",
			"1400",
			OUTSIDE6,
		]);
		expect(`${big.stdout}${big.stderr}`).toMatch(/(Packet too big: mtu=1300|message too long, mtu: 1300)/);
	} finally {
		Bun.spawnSync(["ip", "link", "set", "wire", "mtu", "1500"]);
	}
});

test("certain addresses are given, once; a range is used up in docker's words", async () => {
	const pool = { Subnet: "fd77:1::/64", IPRange: "fd77:1::10/127", Gateway: "fd77:1::1" };
	await lab.create("own", { ipam: { driver: "default", options: null, config: [pool] } });
	const a = await lab.on("a", "own", { address6: "fd77:1::99" });
	expect(a.address6).toBe("fd77:1::99");
	expect(lab.on("b", "own", { address6: "fd77:1::99" })).rejects.toThrow("Address already in use");
	expect([(await lab.on("c", "own")).address6, (await lab.on("d", "own")).address6]).toEqual([
		"fd77:1::10",
		"fd77:1::11",
	]);
	expect(lab.on("e", "own")).rejects.toThrow("no available IPv6 addresses on this network's address pools: own (");
	// The address of the other family that went with it is free again.
	const book = lab.database.query<{ address: string }, []>("SELECT address FROM leases").all();
	expect(book).toHaveLength(6);
	await lab.sandboxes.leave("c");
	lab.joined.delete("c");
	expect((await lab.on("f", "own")).address6).toBe("fd77:1::10");
});

test("of networks of equal priority the one that leads out in both families is the way out, as docker has it", async () => {
	await lab.create("a-four", { enableIpv6: false });
	await lab.create("b-dual");
	const a = await lab.on("a", "a-four");
	const way = () => Bun.spawnSync(["nsenter", `--net=${a.path}`, "ip", "route", "show", "default"]).stdout.toString();
	expect(way()).toContain("dev eth0");
	await lab.sandboxes.attach("a", { network: "b-dual" });
	expect(way()).toContain("dev eth1");
	await lab.create("c-four", { enableIpv6: false });
	await lab.sandboxes.attach("a", { network: "c-four", gwPriority: 1 });
	expect(way()).toContain("dev eth2");
});

test("a running sandbox comes to IPv6 and leaves it; its ports and its way out follow", async () => {
	await lab.create("four", { enableIpv6: false });
	await lab.create("six", { enableIpv4: false });
	const web = await lab.on("web", "four", {}, [portOf(80, 8085)]);
	using _4 = serveTcp(web.path, 80, "web");
	using _6 = serve6(web.path, 80, "web");
	using _out = serve6(lab.outside, 7000, "outside");
	expect(await ask(lab.outside, HOST6, 8085)).toStartWith("web;");
	const both = await lab.sandboxes.attach("web", { network: "six" });
	await Bun.sleep(20);
	expect(both.ports.map(({ hostIp, hostPort }) => `${hostIp} ${hostPort}`)).toEqual(["0.0.0.0 8085", ":: 8085"]);
	expect(await ask(lab.outside, HOST6, 8085)).toStartWith("web;");
	expect(await ask(lab.outside, HOST, 8085)).toStartWith("web;");
	expect(await ask(web.path, OUTSIDE6, 7000)).toBe(`outside;${HOST6}`);
	const left = await lab.sandboxes.detach("web", lab.networks.inspect("six").id);
	expect(left?.ports.map(({ hostIp }) => hostIp)).toEqual(["0.0.0.0", "::"]);
	expect(await ask(lab.outside, HOST6, 8085)).toBe("web;172.18.0.1");
	expect(await ask(lab.outside, HOST, 8085)).toStartWith("web;");
});

test("a connection by a published IPv6 port lives over a crash and restart of the engine, and so do addresses and leases", async () => {
	await lab.create("dual");
	const web = await lab.on("web", "dual", {}, [portOf(80, 8086)]);
	const echo = withNetns(web.path, () =>
		Bun.listen({ hostname: "::", port: 80, socket: { data: (socket, bytes) => void socket.write(bytes) } }),
	);
	const heard: string[] = [];
	const client = await withNetns(lab.outside, () =>
		Bun.connect({ hostname: HOST6, port: 8086, socket: { data: (_, bytes) => void heard.push(bytes.toString()) } }),
	);
	try {
		client.write("before");
		await Bun.sleep(100);
		await lab.start([{ containerId: "web", settings: web.settings }]);
		client.write("after");
		await Bun.sleep(100);
		expect(heard).toEqual(["before", "after"]);
		using _ = serve6(web.path, 81, "again");
		expect((await lab.on("next", "dual")).address6).toEndWith("::3");
		await lab.sandboxes.leave("web");
		lab.joined.delete("web");
		expect(lab.database.query("SELECT 1 FROM leases").all()).toHaveLength(2);
	} finally {
		client.end();
		echo.stop(true);
	}
});

function addWire(name: string, address: string): void {
	using socket = new RouteSocket();
	socket.request(addAddress6(findLink(socket, name)?.index ?? 0, parseIpv6(address) ?? 0n, 64));
}

/** As serveTcp, of IPv6 alone. */
function serve6(path: string, number: number, text: string): Disposable {
	const socket = { open: (s: Bun.Socket) => void s.end(`${text};${s.remoteAddress}`), data: () => {} };
	// A server of IPv4 may have the same port.
	const options = { hostname: "::", port: number, socket, ipv6Only: true };
	const server = withNetns(path, () => Bun.listen(options));
	return { [Symbol.dispose]: () => server.stop(true) };
}

function ping(path: string, address: string): string {
	return Bun.spawnSync(["nsenter", `--net=${path}`, "ping", "-6", "-c", "1", "-W", "1", address]).stdout.toString();
}
