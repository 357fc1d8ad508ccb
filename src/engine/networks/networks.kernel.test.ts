import { Database } from "bun:sqlite";
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NftFirewall } from "../../drivers/firewall/nft.ts";
import { createIpamDriver } from "../../drivers/ipam/pool.ts";
import { BridgeDriver } from "../../drivers/network/bridge.ts";
import { createNamespaceDriver } from "../../drivers/network/namespace.ts";
import { formatIpv4, parseIpv4 } from "../../shared/ip.ts";
import { silentLogger } from "../../shared/log.ts";
import { familiesSchema, NetworkStore, networksSchema, userNetworksSchema } from "../../store/networks.ts";
import { listAddresses } from "../../sys/linux/address.ts";
import { check, libc } from "../../sys/linux/libc.ts";
import { deleteLink, findLink, listLinks } from "../../sys/linux/link.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { openNetns, removeNetns, withNetns, writeSysctl } from "../../sys/linux/netns.ts";
import { closePort } from "../../sys/linux/port-socket.ts";
import { addDefaultRoute, listRoutes } from "../../sys/linux/route.ts";
import { ask, buildOutside, HOST, OUTSIDE, serveTcp } from "../../sys/linux/testing/outside-host.ts";
import type { NetworkSettings } from "../containers/record.ts";
import { createEventBus } from "../event-bus.ts";
import type { EndpointRequest, PortRequest, Sandboxes } from "../sandboxes/contract.ts";
import { createSandboxes } from "../sandboxes/service.ts";
import type { NetworkRequest, Networks } from "./contract.ts";
import { LiveNetworks } from "./live.ts";
import { createNetworks } from "./service.ts";

/** The host of these tests is a fresh namespace; `outside` is another machine on its wire. */
const root = mkdtempSync(join(tmpdir(), `foredeck-networks-${process.pid}-`));
const outside = join(root, "outside");
const BRIDGE_NF = "/proc/sys/net/bridge/bridge-nf-call-iptables";
const database = new Database(":memory:");
const joined = new Map<string, NetworkSettings>();
let home: number;
let sandboxes: Sandboxes;
let networks: Networks;

beforeAll(async () => {
	home = openNetns("/proc/thread-self/ns/net");
	check(libc.unshare(0x40000000), "unshare --net");
	buildOutside(outside);
	database.run("PRAGMA foreign_keys = ON");
	database.exec(networksSchema + userNetworksSchema + familiesSchema);
	await start();
});

afterAll(async () => {
	await sandboxes.close();
	for (const { sandboxPath } of joined.values()) removeNetns(sandboxPath ?? "");
	removeNetns(outside);
	check(libc.setns(home, 0x40000000), "setns");
	closePort(home);
	rmSync(root, { recursive: true, force: true });
});

afterEach(async () => {
	for (const id of joined.keys()) await sandboxes.leave(id);
	joined.clear();
	await networks.prune(() => true);
	expect(database.query("SELECT 1 FROM leases").all()).toEqual([]);
});

test("networks are apart from each other and from the predefined one, members of one are not", async () => {
	await create("blue");
	await create("red");
	const [a, b, c, d] = [await on("a", "blue"), await on("b", "blue"), await on("c", "red"), await on("d", "bridge")];
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
	await create("blue");
	await create("red");
	const web = await on("web", "blue", {}, [port(80, 8080)]);
	const other = await on("other", "red");
	using _ = serveTcp(web.path, 80, "web");
	expect(await ask(undefined, "127.0.0.1", 8080)).toStartWith("web;");
	expect(await ask(outside, HOST, 8080)).toBe(`web;${OUTSIDE}`);
	expect(await ask(other.path, HOST, 8080)).toStartWith("web;");
	expect(await ask(web.path, HOST, 8080)).toStartWith("web;");
	expect(await ask(outside, web.address, 80)).toBe("closed");
});

test("an internal network leads nowhere and is reached from nowhere but the host, by no published port either", async () => {
	await create("inner", { internal: true });
	await create("blue");
	const [a, b] = [await on("a", "inner", {}, [port(80, 8081)]), await on("b", "inner")];
	const web = await on("web", "blue", {}, [port(80, 8082)]);
	using _a = serveTcp(a.path, 80, "a");
	using _web = serveTcp(web.path, 80, "web");
	using _out = serveTcp(outside, 7000, "outside");
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
	await create("closed", { options: { "com.docker.network.bridge.enable_icc": "false" } });
	const [a, b] = [await on("a", "closed", {}, [port(80, 8083)]), await on("b", "closed")];
	using _a = serveTcp(a.path, 80, "a");
	using _b = serveTcp(outside, 7000, "outside");
	expect(await ask(b.path, a.address, 80)).toBe("closed");
	expect(await ask(b.path, HOST, 8083)).toStartWith("a;");
	expect(await ask(b.path, OUTSIDE, 7000)).toBe(`outside;${HOST}`);
});

test("gateway modes: routed opens published ports on the container's own address, nat-unprotected all", async () => {
	const mode = (value: string) => ({ "com.docker.network.bridge.gateway_mode_ipv4": value });
	await create("routed", { options: mode("routed") });
	await create("open", { options: mode("nat-unprotected") });
	const routed = await on("a", "routed", {}, [port(80, 8084)]);
	const open = await on("b", "open");
	using _80 = serveTcp(routed.path, 80, "routed");
	using _81 = serveTcp(routed.path, 81, "hidden");
	using _b = serveTcp(open.path, 81, "open");
	using _out = serveTcp(outside, 7000, "outside");
	expect(await ask(outside, routed.address, 80)).toBe(`routed;${OUTSIDE}`);
	expect(await ask(outside, routed.address, 81)).toBe("closed");
	expect(await ask(outside, HOST, 8084)).toBe("closed");
	expect(await ask(routed.path, OUTSIDE, 7000)).toBe(`outside;${routed.address}`);
	expect(await ask(outside, open.address, 81)).toBe(`open;${OUTSIDE}`);
	await sandboxes.leave("a");
	joined.delete("a");
	const next = await on("c", "routed", { address: undefined });
	using _next = serveTcp(next.path, 80, "next");
	expect(await ask(outside, next.address, 80)).toBe("closed");
});

test("a running sandbox comes to networks and leaves them: names, default route and published ports follow", async () => {
	await create("blue");
	await create("amber");
	const web = await on("web", "blue", {}, [port(80, 8085)]);
	const peer = await on("peer", "amber");
	using _ = serveTcp(web.path, 80, "web");
	const both = await sandboxes.attach("web", { network: "amber" });
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
	expect(await ask(outside, HOST, 8085)).toStartWith("web;");
	const left = await sandboxes.detach("web", idOf("blue"));
	expect(left?.endpoints.map(({ networkName }) => networkName)).toEqual(["amber"]);
	expect(links(web.path)).not.toContain("eth0");
	for (let i = 0; i < 100 && links(web.path).length > 2; i++) await Bun.sleep(20);
	expect(links(web.path)).toEqual(["lo", "eth1"]);
	expect(await ask(outside, HOST, 8085)).toStartWith("web;");
	expect((await sandboxes.attach("web", { network: "blue", gwPriority: 1 })).endpoints[1]?.link).toBe("eth0");
	expect(defaultRoute(web.path)).toBe("eth0");
	await Bun.sleep(20);
	expect(await ask(outside, HOST, 8085)).toStartWith("web;");
	await sandboxes.detach("web", idOf("blue"));
	const none = await sandboxes.detach("web", idOf("amber"));
	expect([none?.endpoints, none?.ports, defaultRoute(web.path)]).toEqual([[], [], undefined]);
	for (let i = 0; i < 100 && links(web.path).length > 1; i++) await Bun.sleep(20);
	expect(links(web.path)).toEqual(["lo"]);
	expect(await sandboxes.detach("web", idOf("amber"))).toBeUndefined();
	await sandboxes.attach("web", { network: "amber" });
	await Bun.sleep(20);
	expect(await ask(outside, HOST, 8085)).toStartWith("web;");
});

test("addresses, MAC, interface name and sysctls of the client's choice; a taken address leaves nothing", async () => {
	await create("blue", { ipam: ipam({ Subnet: "10.5.0.0/24", IPRange: "10.5.0.64/26", Gateway: "10.5.0.254" }) });
	const wanted = { address: "10.5.0.7", macAddress: "02:00:00:00:00:77", linkName: "wan0" };
	const a = await on("a", "blue", { ...wanted, sysctls: { "ipv4/conf/IFNAME/log_martians": "1" } });
	expect([a.address, a.settings.endpoints[0]?.macAddress]).toEqual(["10.5.0.7", "02:00:00:00:00:77"]);
	expect(withNetns(a.path, () => linkList().find(({ name }) => name === "wan0")?.mac)).toBe("02:00:00:00:00:77");
	const sysctl = "/proc/sys/net/ipv4/conf/wan0/log_martians";
	expect(await Bun.$`nsenter --net=${a.path} cat ${sysctl}`.text()).toBe("1\n");
	for (const address of ["10.5.0.7", "10.5.0.254", "10.5.0.255"]) {
		await expect(on("x", "blue", { address })).rejects.toThrow("Address already in use");
	}
	expect((await on("b", "blue")).address).toBe("10.5.0.64");
	expect(defaultRoute(a.path)).toBe("wan0");
});

test("after a crash bridges, interfaces and leases are made so again, and what was removed meanwhile is gone", async () => {
	await create("blue");
	const [a, b] = [await on("a", "blue"), await on("b", "blue")];
	const lost = await on("lost", "blue");
	const bridge = networks.inspect("blue").bridge ?? "";
	joined.delete("lost");
	// kill -9, and somebody takes the bridge down.
	using socket = new RouteSocket();
	socket.request(deleteLink(findLink(socket, bridge)?.index ?? 0));
	await start([...joined].map(([containerId, settings]) => ({ containerId, settings })));
	await Bun.sleep(20);
	using _ = serveTcp(a.path, 80, "a");
	expect(await ask(b.path, a.address, 80)).toStartWith("a;");
	expect(networks.inspect("blue").endpoints.map(({ containerId }) => containerId)).toEqual(["a", "b"]);
	const left = () => linkList().some(({ name }) => name === lost.settings.endpoints[0]?.hostLink);
	for (let i = 0; i < 100 && left(); i++) await Bun.sleep(20);
	expect(left()).toBe(false);
});

test("a removed network's bridge goes, its subnet is free and its name too", async () => {
	await create("blue");
	const { bridge = "", subnet = "" } = networks.inspect("blue");
	await networks.remove("blue");
	const remnant = linkList().find(({ name }) => name === bridge)?.index;
	expect(addressList().filter(({ index }) => index === remnant)).toEqual([]);
	for (let i = 0; i < 100 && linkList().some(({ name }) => name === bridge); i++) await Bun.sleep(20);
	expect(linkList().some(({ name }) => name === bridge)).toBe(false);
	await create("blue");
	expect(networks.inspect("blue").subnet).toBe(subnet);
});

/** As a daemon does at its start; an earlier one is simply forgotten, as after kill -9. */
async function start(keep: { containerId: string; settings: NetworkSettings }[] = []): Promise<void> {
	const store = new NetworkStore(database);
	const [network, ipam, log] = [new BridgeDriver(silentLogger), createIpamDriver(), silentLogger];
	const live = new LiveNetworks({ instance: "t", store, network, ipam, log });
	sandboxes = createSandboxes({
		instance: "t",
		runRoot: root,
		store,
		live,
		resolver: { listen: () => ({ udpPort: 5353, tcpPort: 5354, close: () => {} }) },
		namespaces: createNamespaceDriver(),
		network,
		firewall: new NftFirewall(log),
		ipam,
		log,
		poolSize: 0,
	});
	networks = createNetworks({ store, live, ipam, sandboxes, events: createEventBus() });
	await sandboxes.open(keep);
}

function create(name: string, more: Partial<NetworkRequest> = {}): Promise<{ id: string }> {
	return networks.create({
		name,
		driver: "bridge",
		scope: "",
		internal: false,
		attachable: false,
		ingress: false,
		configOnly: false,
		configFrom: "",
		enableIpv4: true,
		enableIpv6: false,
		labels: {},
		options: {},
		ipam: ipam(),
		...more,
	});
}

function ipam(...config: NetworkRequest["ipam"]["config"]): NetworkRequest["ipam"] {
	return { driver: "default", options: null, config };
}

async function on(id: string, network: string, more: Partial<EndpointRequest> = {}, ports: PortRequest[] = []) {
	const endpoints = [{ ...more, network }];
	const settings = await sandboxes.join({
		containerId: id,
		containerName: id,
		mode: "bridge",
		endpoints,
		ports,
		sysctls: {},
	});
	joined.set(id, settings);
	// The kernel enables a bridge's new port from a work queue: an ARP request sent before that is repeated only after a second.
	await Bun.sleep(20);
	return { settings, path: settings.sandboxPath ?? "", address: settings.endpoints[0]?.ipAddress ?? "" };
}

function port(containerPort: number, hostPort: number): PortRequest {
	return { protocol: "tcp", containerPort, hostIp: "", hostPort };
}

function idOf(name: string): string {
	return networks.inspect(name).id;
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
