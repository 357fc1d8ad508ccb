import { Database } from "bun:sqlite";
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NftFirewall } from "../../drivers/firewall/nft.ts";
import { createIpamDriver } from "../../drivers/ipam/pool.ts";
import { BridgeDriver } from "../../drivers/network/bridge.ts";
import { createNamespaceDriver } from "../../drivers/network/namespace.ts";
import { silentLogger } from "../../shared/log.ts";
import { familiesSchema, NetworkStore, networksSchema, userNetworksSchema } from "../../store/networks.ts";
import { check, libc } from "../../sys/linux/libc.ts";
import { findLink, listLinks } from "../../sys/linux/link.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { openNetns, removeNetns, withNetns } from "../../sys/linux/netns.ts";
import { closePort } from "../../sys/linux/port-socket.ts";
import { ask, buildOutside, OUTSIDE, serveTcp } from "../../sys/linux/testing/outside-host.ts";
import type { NetworkSettings } from "../containers/record.ts";
import { createEventBus } from "../event-bus.ts";
import type { EndpointRequest, PortRequest, Sandboxes } from "../sandboxes/contract.ts";
import { createSandboxes } from "../sandboxes/service.ts";
import type { NetworkRequest, Networks } from "./contract.ts";
import { LiveNetworks } from "./live.ts";
import { createNetworks } from "./service.ts";

/** The host of these tests is a fresh namespace; `outside` is another machine on its wire, the parent. */
const root = mkdtempSync(join(tmpdir(), `foredeck-macvlan-${process.pid}-`));
const outside = join(root, "outside");
/** Of the wire's network: other machines have the addresses below .64. */
const POOL = { Subnet: "198.51.100.0/24", IPRange: "198.51.100.64/26", Gateway: OUTSIDE };
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
	// The parent is the host's own, and stays.
	using socket = new RouteSocket();
	expect(findLink(socket, "wire")?.up).toBe(true);
});

const onWire = (mode?: string) => ({ options: { parent: "wire", ...(mode && { macvlan_mode: mode }) } });

test("members are on the parent's wire: reached by their own addresses, and by each other, with no interface on the host", async () => {
	await create("lan", onWire());
	const before = hostLinks();
	const [a, b] = [await on("a", "lan"), await on("b", "lan")];
	expect([a.address, b.address]).toEqual(["198.51.100.64", "198.51.100.65"]);
	expect(hostLinks()).toEqual(before);
	using _a = serveTcp(a.path, 80, "a");
	using _out = serveTcp(outside, 7000, "outside");
	expect(await ask(outside, a.address, 80)).toBe(`a;${OUTSIDE}`);
	expect(await ask(b.path, a.address, 80)).toBe(`a;${b.address}`);
	expect(await ask(a.path, OUTSIDE, 7000)).toBe(`outside;${a.address}`);
	expect(a.settings.endpoints[0]).toMatchObject({ gateway: OUTSIDE, link: "eth0", hostLink: "" });
});

test("in mode private members do not know each other", async () => {
	await create("lonely", onWire("private"));
	const [a, b] = [await on("a", "lonely"), await on("b", "lonely")];
	using _a = serveTcp(a.path, 80, "a");
	expect(await ask(b.path, a.address, 80)).toBe("closed");
	expect(await ask(outside, a.address, 80)).toStartWith("a;");
});

test("mode passthru has the wire for itself", async () => {
	await create("own", onWire("passthru"));
	const text = "is already using parent interface wire in mode passthru";
	expect(create("more", { ...onWire(), ipam: ipam("10.9.0.0/24") })).rejects.toThrow(text);
	await networks.remove("own");
	await create("shared", onWire());
	const other = { ...onWire("passthru"), ipam: ipam("10.9.0.0/24") };
	expect(create("own", other)).rejects.toThrow("cannot use mode passthru, macvlan network");
});

test.each([
	["loopback interface is not a valid macvlan parent link", { parent: "lo" }],
	["invalid subinterface vlan name nope0, example formatting is eth0.10", { parent: "nope0" }],
	["vlan id must be between 1-4094, received: 5000", { parent: "wire.5000" }],
	["requested macvlan mode 'xx' is not valid", { parent: "wire", macvlan_mode: "xx" }],
	["Link not found", { parent: "nope0.10" }],
])("a network is refused and nothing is left of it: %s", async (text, options) => {
	const before = hostLinks();
	expect(create("no", { options })).rejects.toThrow(text);
	expect(networks.list().some(({ name }) => name === "no")).toBe(false);
	expect(hostLinks()).toEqual(before);
});

/** What the kernel has not is refused by name; what it has is made, and gone with the network. */
test.each([
	["vlan", { parent: "wire.10" }, "wire.10"],
	["dummy", {}, "dm-"],
])("a parent of kind %s is the network's own", async (kind, options, name) => {
	const before = hostLinks();
	const made = await create("own", { options, internal: kind === "dummy" }).catch((error: Error) => error);
	if (made instanceof Error) {
		expect(made.message).toContain(`cannot create ${kind} interface`);
		expect(made.message).toContain("operation not supported by this kernel");
	} else {
		expect(hostLinks().some((one) => one.startsWith(name))).toBe(true);
		await networks.remove("own");
		await Bun.sleep(200);
	}
	expect(hostLinks()).toEqual(before);
});

test("a running sandbox comes to the wire and leaves it, and outlives a crash of the engine there", async () => {
	await create("lan", onWire());
	await create("blue", { driver: "bridge", ipam: { driver: "default", options: null, config: [] } });
	const a = await on("a", "blue");
	using _a = serveTcp(a.path, 80, "a");
	const both = await sandboxes.attach("a", { network: "lan", address: "198.51.100.77" });
	expect(both.endpoints.map(({ link }) => link)).toEqual(["eth0", "eth1"]);
	expect(await ask(outside, "198.51.100.77", 80)).toStartWith("a;");
	await start([{ containerId: "a", settings: both }]);
	expect(await ask(outside, "198.51.100.77", 80)).toStartWith("a;");
	expect((await on("b", "lan")).address).toBe("198.51.100.64");
	const left = await sandboxes.detach("a", networks.inspect("lan").id);
	expect(left?.endpoints).toHaveLength(1);
	expect(await ask(outside, "198.51.100.77", 80)).toBe("closed");
	expect(withNetns(a.path, hostLinks).some((name) => name === "eth1")).toBe(false);
});

function ipam(Subnet: string): NetworkRequest["ipam"] {
	return { driver: "default", options: null, config: [{ Subnet }] };
}

/** Of the calling thread's namespace. */
function hostLinks(): string[] {
	using socket = new RouteSocket();
	return listLinks(socket)
		.map(({ name }) => name)
		.toSorted();
}

/** As at a crash: what was there before is left to itself. */
async function start(keep: { containerId: string; settings: NetworkSettings }[] = []): Promise<void> {
	const [log, store, network, ipam] = [
		silentLogger,
		new NetworkStore(database),
		new BridgeDriver(silentLogger),
		createIpamDriver(),
	];
	const live = new LiveNetworks({ instance: "tm", store, network, ipam, log });
	sandboxes = createSandboxes({
		instance: "tm",
		runRoot: root,
		store,
		resolver: { listen: () => ({ udpPort: 1, tcpPort: 1, close: () => {} }) },
		namespaces: createNamespaceDriver(),
		network,
		firewall: new NftFirewall(log),
		ipam,
		log,
		poolSize: 0,
		live,
	});
	networks = createNetworks({
		store,
		live,
		ipam,
		sandboxes,
		events: createEventBus(),
		hasLink: (name) => network.hasLink(name),
	});
	await sandboxes.open(keep);
}

function create(name: string, more: Partial<NetworkRequest> = {}): Promise<{ id: string }> {
	return networks.create({
		name,
		driver: "macvlan",
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
		ipam: { driver: "default", options: null, config: [POOL] },
		...more,
	});
}

async function on(id: string, network: string, more: Partial<EndpointRequest> = {}, ports: PortRequest[] = []) {
	const settings = await sandboxes.join({
		containerId: id,
		containerName: id,
		mode: "bridge",
		endpoints: [{ ...more, network }],
		ports,
		sysctls: {},
	});
	joined.set(id, settings);
	// The kernel enables a bridge's new port from a work queue.
	await Bun.sleep(20);
	return { settings, path: settings.sandboxPath ?? "", address: settings.endpoints[0]?.ipAddress ?? "" };
}
