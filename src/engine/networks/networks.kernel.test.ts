import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { formatIpv4, parseIpv4 } from "../../shared/ip.ts";
import { deleteAddress, listAddresses } from "../../sys/linux/address.ts";
import { createBridge, deleteLink, findLink, listLinks, setDown } from "../../sys/linux/link.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { openNetns, withNetns, writeSysctl } from "../../sys/linux/netns.ts";
import { closePort } from "../../sys/linux/port-socket.ts";
import { addDefaultRoute, listRoutes } from "../../sys/linux/route.ts";
import { ask, HOST, OUTSIDE, serveTcp } from "../../sys/linux/testing/outside-host.ts";
import { poolsOf, portOf, TestNetworks } from "../../testing/network-host.ts";

const BRIDGE_NF = "/proc/sys/net/bridge/bridge-nf-call-iptables";
let lab: TestNetworks;

beforeAll(async () => {
	lab = new TestNetworks({ instance: "t" });
	await lab.start();
});

afterAll(() => lab.end());

afterEach(() => lab.clear());

test("networks are apart from each other and from the predefined one, members of one are not", async () => {
	await lab.create("blue");
	await lab.create("red");
	const [a, b, c, d] = [
		await lab.on("a", "blue"),
		await lab.on("b", "blue"),
		await lab.on("c", "red"),
		await lab.on("d", "bridge"),
	];
	using _a = serveTcp(a.path, 80, "a");
	using _c = serveTcp(c.path, 80, "c");
	using _d = serveTcp(d.path, 80, "d");
	expect(await ask(b.path, a.address, 80)).toStartWith("a;");
	const across: [string, string][] = [
		[c.path, a.address],
		[a.path, c.address],
		[d.path, a.address],
		[a.path, d.address],
	];
	for (const [path, address] of across) expect(await ask(path, address, 80)).toBe("closed");
	// They are up and reachable, or the lines above would say nothing.
	expect(await ask(undefined, c.address, 80)).toStartWith("c;");
	expect(await ask(undefined, d.address, 80)).toStartWith("d;");
});

test("a published port on a network of the user's answers host, outside and other networks, and itself", async () => {
	await lab.create("blue");
	await lab.create("red");
	const web = await lab.on("web", "blue", {}, [portOf(80, 8080)]);
	const other = await lab.on("other", "red");
	using _ = serveTcp(web.path, 80, "web");
	expect(await ask(undefined, "127.0.0.1", 8080)).toStartWith("web;");
	expect(await ask(lab.outside, HOST, 8080)).toBe(`web;${OUTSIDE}`);
	expect(await ask(other.path, HOST, 8080)).toStartWith("web;");
	expect(await ask(web.path, HOST, 8080)).toStartWith("web;");
	expect(await ask(lab.outside, web.address, 80)).toBe("closed");
});

test("an internal network leads nowhere and is reached from nowhere but the host, by no published port either", async () => {
	await lab.create("inner", { internal: true });
	await lab.create("blue");
	const [a, b] = [await lab.on("a", "inner", {}, [portOf(80, 8081)]), await lab.on("b", "inner")];
	const web = await lab.on("web", "blue", {}, [portOf(80, 8082)]);
	using _a = serveTcp(a.path, 80, "a");
	using _web = serveTcp(web.path, 80, "web");
	using _out = serveTcp(lab.outside, 7000, "outside");
	expect(a.settings.endpoints[0]?.gateway).toBeUndefined();
	expect(a.settings.ports).toEqual([]);
	expect(routes(a.path)).toEqual([a.address.replace(/\.\d+\.\d+$/, ".0.0")]);
	expect(await ask(b.path, a.address, 80)).toStartWith("a;");
	expect(await ask(undefined, a.address, 80)).toStartWith("a;");
	// Even one that gives itself a route.
	withNetns(a.path, () => {
		using inside = new RouteSocket();
		const gateway = (parseIpv4(a.address) ?? 0) - 1;
		inside.request(addDefaultRoute(2, gateway));
	});
	expect(await ask(a.path, OUTSIDE, 7000)).toBe("closed");
	expect(await ask(a.path, HOST, 8082)).toBe("closed");
	expect(await ask(web.path, a.address, 80)).toBe("closed");
	expect(await ask(web.path, OUTSIDE, 7000)).toBe(`outside;${HOST}`);
});

test("without icc members reach each other by published ports alone", async () => {
	// Where bridge-nf is on, the kernel bridges what is translated to a sibling's address, and the ports are isolated from each other.
	if (existsSync(BRIDGE_NF)) writeSysctl("net/bridge/bridge-nf-call-iptables", "0");
	await lab.create("closed", { options: { "com.docker.network.bridge.enable_icc": "false" } });
	const [a, b] = [await lab.on("a", "closed", {}, [portOf(80, 8083)]), await lab.on("b", "closed")];
	using _a = serveTcp(a.path, 80, "a");
	using _b = serveTcp(lab.outside, 7000, "outside");
	expect(await ask(b.path, a.address, 80)).toBe("closed");
	expect(await ask(b.path, HOST, 8083)).toStartWith("a;");
	expect(await ask(b.path, OUTSIDE, 7000)).toBe(`outside;${HOST}`);
});

test("gateway modes: routed opens published ports on the container's own address, nat-unprotected all", async () => {
	const mode = (value: string) => ({ "com.docker.network.bridge.gateway_mode_ipv4": value });
	await lab.create("routed", { options: mode("routed") });
	await lab.create("open", { options: mode("nat-unprotected") });
	const routed = await lab.on("a", "routed", {}, [portOf(80, 8084)]);
	const open = await lab.on("b", "open");
	using _80 = serveTcp(routed.path, 80, "routed");
	using _81 = serveTcp(routed.path, 81, "hidden");
	using _b = serveTcp(open.path, 81, "open");
	using _out = serveTcp(lab.outside, 7000, "outside");
	expect(await ask(lab.outside, routed.address, 80)).toBe(`routed;${OUTSIDE}`);
	expect(await ask(lab.outside, routed.address, 81)).toBe("closed");
	expect(await ask(lab.outside, HOST, 8084)).toBe("closed");
	expect(await ask(routed.path, OUTSIDE, 7000)).toBe(`outside;${routed.address}`);
	expect(await ask(lab.outside, open.address, 81)).toBe(`open;${OUTSIDE}`);
	await lab.sandboxes.leave("a");
	lab.joined.delete("a");
	const next = await lab.on("c", "routed", { address: undefined });
	using _next = serveTcp(next.path, 80, "next");
	expect(await ask(lab.outside, next.address, 80)).toBe("closed");
});

test("a running sandbox comes to networks and leaves them: names, default route and published ports follow", async () => {
	await lab.create("blue");
	await lab.create("amber");
	const web = await lab.on("web", "blue", {}, [portOf(80, 8085)]);
	const peer = await lab.on("peer", "amber");
	using _ = serveTcp(web.path, 80, "web");
	const both = await lab.sandboxes.attach("web", { network: "amber" });
	await Bun.sleep(20);
	expect(both.endpoints.map(({ networkName, link }) => [networkName, link])).toEqual([
		["blue", "eth0"],
		["amber", "eth1"],
	]);
	expect(both.ports).toEqual(web.settings.ports);
	const amber = both.endpoints[1]?.ipAddress ?? "";
	// "amber" comes first by name: it is the way out now.
	expect(defaultRoute(web.path)).toBe("eth1");
	expect(await ask(peer.path, amber, 80)).toStartWith("web;");
	expect(await ask(lab.outside, HOST, 8085)).toStartWith("web;");
	const left = await lab.sandboxes.detach("web", idOf("blue"));
	expect(left?.endpoints.map(({ networkName }) => networkName)).toEqual(["amber"]);
	expect(links(web.path)).not.toContain("eth0");
	for (let i = 0; i < 100 && links(web.path).length > 2; i++) await Bun.sleep(20);
	expect(links(web.path)).toEqual(["lo", "eth1"]);
	expect(await ask(lab.outside, HOST, 8085)).toStartWith("web;");
	expect((await lab.sandboxes.attach("web", { network: "blue", gwPriority: 1 })).endpoints[1]?.link).toBe("eth0");
	expect(defaultRoute(web.path)).toBe("eth0");
	await Bun.sleep(20);
	expect(await ask(lab.outside, HOST, 8085)).toStartWith("web;");
	await lab.sandboxes.detach("web", idOf("blue"));
	const none = await lab.sandboxes.detach("web", idOf("amber"));
	expect([none?.endpoints, none?.ports, defaultRoute(web.path)]).toEqual([[], [], undefined]);
	for (let i = 0; i < 100 && links(web.path).length > 1; i++) await Bun.sleep(20);
	expect(links(web.path)).toEqual(["lo"]);
	expect(await lab.sandboxes.detach("web", idOf("amber"))).toBeUndefined();
	await lab.sandboxes.attach("web", { network: "amber" });
	await Bun.sleep(20);
	expect(await ask(lab.outside, HOST, 8085)).toStartWith("web;");
});

test("addresses, MAC, interface name and sysctls of the client's choice; a taken address leaves nothing", async () => {
	await lab.create("blue", {
		ipam: poolsOf({ Subnet: "10.5.0.0/24", IPRange: "10.5.0.64/26", Gateway: "10.5.0.254" }),
	});
	const wanted = { address: "10.5.0.7", macAddress: "02:00:00:00:00:77", linkName: "wan0" };
	const a = await lab.on("a", "blue", { ...wanted, sysctls: { "ipv4/conf/IFNAME/log_martians": "1" } });
	expect([a.address, a.settings.endpoints[0]?.macAddress]).toEqual(["10.5.0.7", "02:00:00:00:00:77"]);
	expect(withNetns(a.path, () => linkList().find(({ name }) => name === "wan0")?.mac)).toBe("02:00:00:00:00:77");
	const sysctl = "/proc/sys/net/ipv4/conf/wan0/log_martians";
	expect(await Bun.$`nsenter --net=${a.path} cat ${sysctl}`.text()).toBe("1\n");
	for (const address of ["10.5.0.7", "10.5.0.254", "10.5.0.255"]) {
		await expect(lab.on("x", "blue", { address })).rejects.toThrow("Address already in use");
	}
	const nosuch = lab.on("x", "blue", { sysctls: { "ipv4/conf/IFNAME/nosuch": "1" } });
	await expect(nosuch).rejects.toThrow("/proc/sys/net/ipv4/conf/eth0/nosuch is not a sysctl file");
	await lab.create("red");
	const same = lab.sandboxes.attach("a", { network: "red", linkName: "wan0" });
	await expect(same).rejects.toThrow('error renaming interface to "wan0": file exists');
	expect((await lab.on("b", "blue")).address).toMatch(/^10\.5\.0\.6[45]$/);
	expect(defaultRoute(a.path)).toBe("wan0");
});

test("after a crash bridges, interfaces and leases are made so again, and what was removed meanwhile is gone", async () => {
	await lab.create("blue");
	const [a, b] = [await lab.on("a", "blue"), await lab.on("b", "blue")];
	const lost = await lab.on("lost", "blue");
	const bridge = lab.networks.inspect("blue").bridge ?? "";
	lab.joined.delete("lost");
	// kill -9, and somebody takes the bridge down.
	using socket = new RouteSocket();
	socket.request(deleteLink(findLink(socket, bridge)?.index ?? 0));
	await lab.start([...lab.joined].map(([containerId, settings]) => ({ containerId, settings })));
	await Bun.sleep(20);
	using _ = serveTcp(a.path, 80, "a");
	expect(await ask(b.path, a.address, 80)).toStartWith("a;");
	expect(lab.networks.inspect("blue").endpoints.map(({ containerId }) => containerId)).toEqual(["a", "b"]);
	const left = () => linkList().some(({ name }) => name === lost.settings.endpoints[0]?.hostLink);
	for (let i = 0; i < 100 && left(); i++) await Bun.sleep(20);
	expect(left()).toBe(false);
});

test("a bridge that was made and not marked when the engine died is taken over; another's is not, and its network can be removed", async () => {
	await lab.create("blue");
	await lab.create("red");
	const [blue, red] = ["blue", "red"].map((name) => lab.networks.inspect(name).bridge ?? "");
	using socket = new RouteSocket();
	lab.die();
	for (const name of [blue, red]) socket.request(deleteLink(findLink(socket, name ?? "")?.index ?? 0));
	socket.request(createBridge(blue ?? "", "02:42:ac:12:00:01"), createBridge(red ?? "", "02:00:00:00:00:99"));
	await lab.start();
	const [a, b] = [await lab.on("a", "blue"), await lab.on("b", "blue")];
	using _ = serveTcp(a.path, 80, "a");
	expect(await ask(b.path, a.address, 80)).toStartWith("a;");
	await expect(lab.on("c", "red")).rejects.toThrow("network red not found");
	expect(lab.networks.inspect("red").name).toBe("red");
	await lab.networks.remove("red");
	await lab.start([...lab.joined].map(([containerId, settings]) => ({ containerId, settings })));
	expect(lab.networks.list().map(({ name }) => name)).toEqual(["bridge", "host", "none", "blue"]);
	socket.request(deleteLink(findLink(socket, red ?? "")?.index ?? 0));
});

test("what others do to a bridge while the engine runs is repaired: taken away, set down, without its address", async () => {
	await lab.create("blue");
	await lab.create("apart", { options: { "com.docker.network.bridge.enable_icc": "false" } });
	const [a, b] = [await lab.on("a", "blue", {}, [portOf(80, 8087)]), await lab.on("b", "blue")];
	const [c, d] = [await lab.on("c", "apart"), await lab.on("d", "apart")];
	using _a = serveTcp(a.path, 80, "a");
	using _c = serveTcp(c.path, 80, "c");
	using _out = serveTcp(lab.outside, 7000, "out");
	const bridges = ["blue", "apart"].map((name) => lab.networks.inspect(name).bridge ?? "");
	const [blue = ""] = bridges;
	const { gateway = "" } = lab.networks.inspect("blue");
	using socket = new RouteSocket();
	const harm = [
		() => {
			for (const name of bridges) socket.request(deleteLink(findLink(socket, name)?.index ?? 0));
		},
		() => socket.request(setDown(findLink(socket, blue)?.index ?? 0)),
		() => socket.request(deleteAddress(findLink(socket, blue)?.index ?? 0, parseIpv4(gateway) ?? 0, 16)),
	];
	for (const strike of harm) {
		strike();
		for (let i = 0; i < 20 && (await ask(lab.outside, HOST, 8087)) === "closed"; i++) await Bun.sleep(20);
		expect(await ask(b.path, a.address, 80)).toStartWith("a;");
		expect(await ask(lab.outside, HOST, 8087)).toBe(`a;${OUTSIDE}`);
		expect(await ask(b.path, OUTSIDE, 7000)).toBe(`out;${HOST}`);
		expect(await ask(d.path, c.address, 80)).toBe("closed");
		expect(await ask(d.path, OUTSIDE, 7000)).toBe(`out;${HOST}`);
	}
}, 20_000);

test("a sandbox's interface goes with it, also when something keeps the namespace", async () => {
	await lab.create("blue");
	const a = await lab.on("a", "blue");
	// As sockets do that have something to send yet.
	const kept = openNetns(a.path);
	const link = a.settings.endpoints[0]?.hostLink;
	const isThere = () => linkList().some(({ name }) => name === link);
	try {
		await lab.sandboxes.leave("a");
		lab.joined.delete("a");
		expect(isThere()).toBe(true);
		for (let i = 0; i < 150 && isThere(); i++) await Bun.sleep(20);
		expect(isThere()).toBe(false);
	} finally {
		closePort(kept);
	}
});

test("an interface has the link-local addresses it is given beside its own; a /31 has no broadcast address", async () => {
	await lab.create("blue", { ipam: poolsOf({ Subnet: "10.63.0.0/31" }) });
	const a = await lab.on("a", "blue", { linkLocal: ["169.254.7.7", "fe80::77"] });
	const { stdout } = Bun.spawnSync(["nsenter", `--net=${a.path}`, "ip", "-o", "addr", "show", "eth0"]);
	const text = stdout.toString();
	for (const part of ["10.63.0.1/31 scope", "169.254.7.7/16", "fe80::77/64"]) expect(text).toContain(part);
});

test("a removed network's bridge goes, its subnet is free and its name too", async () => {
	await lab.create("blue");
	const { bridge = "", subnet = "" } = lab.networks.inspect("blue");
	await lab.networks.remove("blue");
	const remnant = linkList().find(({ name }) => name === bridge)?.index;
	expect(addressList().filter(({ index }) => index === remnant)).toEqual([]);
	for (let i = 0; i < 100 && linkList().some(({ name }) => name === bridge); i++) await Bun.sleep(20);
	expect(linkList().some(({ name }) => name === bridge)).toBe(false);
	await lab.create("blue");
	expect(lab.networks.inspect("blue").subnet).toBe(subnet);
});

function idOf(name: string): string {
	return lab.networks.inspect(name).id;
}

/** Of the calling thread's namespace. */
function linkList() {
	using socket = new RouteSocket();
	return listLinks(socket);
}

function addressList() {
	using socket = new RouteSocket();
	return listAddresses(socket);
}

function links(path: string): string[] {
	return withNetns(path, () => linkList().map(({ name }) => name)).filter((name) => !name.startsWith("ifb"));
}

/** Destinations, default routes left out. */
function routes(path: string): string[] {
	return withNetns(path, () => {
		using socket = new RouteSocket();
		return listRoutes(socket).map(({ base }) => formatIpv4(base));
	});
}

/** The interface it leads over. */
function defaultRoute(path: string): string | undefined {
	const { stdout } = Bun.spawnSync(["nsenter", `--net=${path}`, "ip", "route", "show", "default"]);
	return / dev (\S+)/.exec(stdout.toString())?.[1];
}

test("bridges that were on their way out when the engine died have no address at once, and are gone soon after it is back", async () => {
	const pool = (number: number) => ({ ipam: poolsOf({ Subnet: `10.94.${number}.0/24` }) });
	for (const number of [1, 2, 3, 4, 5]) await lab.create(`old${number}`, pool(number));
	const names = lab.networks.list().flatMap(({ name, bridge }) => (name.startsWith("old") && bridge ? bridge : []));
	// As a removal that the engine did not live to see the end of.
	lab.database.run("DELETE FROM networks WHERE name LIKE 'old%'");
	await lab.start();
	using socket = new RouteSocket();
	const subnet = parseIpv4("10.94.0.0") ?? 0;
	expect(listAddresses(socket).some(({ address }) => address >>> 16 === subnet >>> 16)).toBe(false);
	await lab.create("new", pool(1));
	const left = () => names.filter((name) => findLink(socket, name));
	for (let tries = 0; tries < 100 && left().length > 0; tries++) await Bun.sleep(50);
	expect(left()).toEqual([]);
	expect(names).toHaveLength(5);
});
