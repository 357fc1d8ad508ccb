import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import type { IpamDriver } from "../../drivers/ipam/driver.ts";
import type { BridgeSpec, NetworkDriver } from "../../drivers/network/driver.ts";
import { type Cidr, overlaps, parseCidr } from "../../shared/cidr.ts";
import { silentLogger } from "../../shared/log.ts";
import { familiesSchema, NetworkStore, networksSchema, userNetworksSchema } from "../../store/networks.ts";
import { createEventBus } from "../event-bus.ts";
import type { NetworkRecord } from "../sandboxes/contract.ts";
import type { NetworkRequest } from "./contract.ts";
import { LiveNetworks } from "./live.ts";
import { createNetworks } from "./service.ts";

/** 172.17/16, 172.18/16... as docker's; addresses are not what these tests are about. */
const ipam: IpamDriver = {
	chooseSubnet6: (_seed, used) => ({ base: (0xfdn << 120n) + (BigInt(used.length) << 64n), prefixLength: 64 }),
	leases6: (subnet, plan) => ({
		subnet,
		gateway: plan?.gateway ?? subnet.base + 1n,
		allocate: () => subnet.base + 2n,
		take: () => true,
		release: () => true,
		...{ subnets: [subnet], holds: () => true },
		poolOf: () => ({ subnet, gateway: subnet.base + 1n }),
		count: 0,
	}),
	together: (first) => first,
	chooseSubnet: (used) => {
		const pools = [17, 18, 19, 20, 21].map((second) => cidr(`172.${second}.0.0/16`));
		return pools.find((pool) => !used.some((other) => overlaps(pool, other))) ?? cidr("");
	},
	leases: (subnet, plan) => ({
		subnet,
		gateway: plan?.gateway ?? subnet.base + 1,
		allocate: () => subnet.base + 2,
		take: () => true,
		release: () => true,
		...{ subnets: [subnet], holds: () => true },
		poolOf: () => ({ subnet, gateway: subnet.base + 1 }),
		count: 0,
	}),
};

/** The noun over a host on which bridges are only remembered. */
function engineOver(database: Database, used: readonly string[] = []) {
	const store = new NetworkStore(database);
	const bridges = new Map<string, BridgeSpec>();
	const driver: Partial<NetworkDriver> & { failure?: Error } = {
		open: (spec) => {
			if (driver.failure) throw driver.failure;
			bridges.set(spec.name, spec);
			return { mac: "02:42:00:00:00:01" };
		},
		remove: async (name) => void bridges.delete(name),
		usedNetworks: () => used.map(cidr),
	};
	const [network, log] = [driver as NetworkDriver, silentLogger];
	const live = new LiveNetworks({ instance: "t", store, network, ipam, log });
	live.open();
	const endpoints = new Map<string, NetworkRecord["endpoints"]>();
	const seen: string[] = [];
	const bus = createEventBus();
	const sandboxes = {
		networks: () =>
			live.rows().map(({ id, name, driver: kind, created, config, subnet, bridge }) => ({
				id,
				name,
				driver: kind,
				created,
				...(subnet && { subnet }),
				...(bridge && { bridge }),
				...(config && { config }),
				endpoints: endpoints.get(name) ?? [],
			})),
		networksChanged: () => void seen.push("firewall"),
	};
	const events = {
		...bus,
		publish: (type: string, action: string, _id: string, attributes: Record<string, string>) =>
			void seen.push(`${type} ${action} ${attributes.name ?? ""}`),
	};
	const networks = createNetworks({ store, live, ipam, sandboxes, events, hasBigTcp: () => false });
	return { networks, bridges, endpoints, seen, driver, store, live };
}

function engine(used: readonly string[] = []) {
	const database = new Database(":memory:");
	database.exec(networksSchema + userNetworksSchema + familiesSchema);
	return { database, ...engineOver(database, used) };
}

function request(
	name: string,
	more: Partial<NetworkRequest> = {},
	...config: NetworkRequest["ipam"]["config"]
): NetworkRequest {
	return {
		name,
		driver: "",
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
		ipam: { driver: "", options: null, config },
		...more,
	};
}

test("with inhibit_ipv4 the host has no address on the bridge; trusted interfaces are refused by name", async () => {
	const { networks, bridges } = engine();
	const option = (name: string, value: string) => ({ [`com.docker.network.bridge.${name}`]: value });
	await networks.create(request("hostless", { options: option("inhibit_ipv4", "true") }));
	const made = [...bridges.values()].at(-1);
	expect([made?.gateway, made?.prefixLength]).toEqual([undefined, 16]);
	const trusting = networks.create(request("x", { options: option("trusted_host_interfaces", "eth1") }));
	await expect(trusting).rejects.toThrow(
		"com.docker.network.bridge.trusted_host_interfaces is not supported yet: eth1",
	);
});

test("a network gets a free subnet and a bridge named after its id, outlives a restart, and is told of", async () => {
	const { networks, bridges, seen, database } = engine(["172.18.0.0/16"]);
	const { id } = await networks.create(request("blue", { labels: { a: "b" } }));
	const made = networks.inspect("blue");
	expect(made).toMatchObject({ id, driver: "bridge", subnet: "172.19.0.0/16", bridge: `br-${id.slice(0, 12)}` });
	expect(made.config?.ipam.config).toEqual([{ Subnet: "172.19.0.0/16", Gateway: "172.19.0.1" }]);
	expect(bridges.get(made.bridge ?? "")).toMatchObject({ alias: "foredeck t", prefixLength: 16 });
	expect(seen).toEqual(["firewall", "network create blue"]);
	const again = engineOver(database);
	expect(again.networks.inspect(id.slice(0, 6))).toEqual(made);
	expect([...again.bridges.keys()]).toEqual(["t0", made.bridge ?? ""]);
	expect(networks.list().map(({ name }) => name)).toEqual(["bridge", "host", "none", "blue"]);
});

test.each<[string, Partial<NetworkRequest>]>([
	["invalid name: name is empty", { name: " " }],
	["operation is not permitted on predefined bridge network ", { name: "bridge" }],
	['only one instance of "host" network is allowed', { driver: "host" }],
	['only one instance of "null" network is allowed', { driver: "null" }],
	["This node is not a swarm manager.", { driver: "overlay" }],
	['plugin "foo" not found', { driver: "foo" }],
	["Ingress network can only be global scope network", { ingress: true }],
	["cannot create a swarm scoped network when swarm is not active", { scope: "swarm" }],
	['plugin "x" not found', { ipam: { driver: "x", options: null, config: [] } }],
	["ipv4 pool is empty", { ipam: { driver: "null", options: null, config: [] } }],
	["ipv6 pool is empty", { enableIpv4: false, enableIpv6: true, ipam: { driver: "null", options: null, config: [] } }],
	[
		"null ipam driver does not handle specific address pool requests",
		{ ipam: { driver: "null", options: null, config: [{ Subnet: "10.1.0.0/24" }] } },
	],
	["configuration network can only contain network specific fields.", { configOnly: true, internal: true }],
	["a configuration network cannot depend on another configuration network", { configOnly: true, configFrom: "x" }],
	["invalid network config", { configOnly: true, ipam: { driver: "", options: null, config: [{ Subnet: "x" }] } }],
	['configuration network "base" does not exist', { configFrom: "base" }],
	["user specified configurations are not supported if", { configFrom: "base", labels: { a: "b" } }],
	["user specified configurations are not supported if", { configFrom: "base", enableIpv6: true }],
	["network driver options are not supported if", { configFrom: "base", options: { a: "b" } }],
	["cannot use option foredeck.big_tcp=true: it needs Linux 6.3 or newer", { options: { "foredeck.big_tcp": "true" } }],
	["only bridge networks have it", { driver: "macvlan", options: { "foredeck.big_tcp": "false" } }],
	["IPv4 or IPv6 must be enabled", { enableIpv4: false }],
])("create refuses and makes nothing: %s", async (text, more) => {
	const { networks, bridges } = engine();
	expect(networks.create(request("blue", more))).rejects.toThrow(text);
	expect([networks.list().length, bridges.size]).toEqual([3, 1]);
});

test("networks are made from one that is only configuration, which stays while they do, over a restart too", async () => {
	const { networks, database, bridges, seen, live } = engine();
	const options = { "com.docker.network.bridge.enable_icc": "false" };
	await networks.create(request("base", { configOnly: true, options, labels: { a: "b" } }, { Subnet: "10.1.0.0/24" }));
	expect(networks.inspect("base")).toMatchObject({ driver: "null", config: { configOnly: true, options } });
	expect([bridges.size, seen]).toEqual([1, ["network create base"]]);
	const twice = networks.create(request("base", { configOnly: true }));
	await expect(twice).rejects.toThrow("network with name base already exists");
	await networks.create(request("blue", { configFrom: "base", internal: true }));
	expect(networks.inspect("blue").config).toMatchObject({
		...{ configFrom: "base", internal: true, options, labels: { a: "b" }, subnetAsked: true },
		ipam: { config: [{ Subnet: "10.1.0.0/24" }] },
	});
	await expect(networks.create(request("red", { configFrom: "base" }))).rejects.toThrow("Pool overlaps");
	expect(() => live.find("base")).toThrow("cannot create endpoint on configuration-only network");
	const again = engineOver(database).networks;
	expect(again.inspect("base")).toEqual(networks.inspect("base"));
	const inUse = 'error while removing network: configuration network "base" is in use';
	await expect(again.remove("base")).rejects.toThrow(inUse);
	expect(await again.prune(() => true)).toEqual(["blue"]);
	await again.remove("base");
	expect(again.list().map(({ name }) => name)).toEqual(["bridge", "host", "none"]);
});

test("names, subnets and bridges are taken once", async () => {
	const { networks } = engine();
	await networks.create(
		request("blue", { options: { "com.docker.network.bridge.name": "mine0" } }, { Subnet: "10.1.0.0/16" }),
	);
	const refused = async (one: NetworkRequest) =>
		networks.create(one).catch(({ code, message }) => `${code}: ${message}`);
	expect(await refused(request("blue"))).toBe("conflict: network with name blue already exists");
	const overlap = "forbidden: invalid pool request: Pool overlaps with other one on this address space";
	expect(await refused(request("red", {}, { Subnet: "10.1.2.0/24" }))).toBe(overlap);
	expect(await refused(request("red", {}, { Subnet: "10.2.0.0/24" }, { Subnet: "10.2.0.0/25" }))).toBe(overlap);
	expect(await refused(request("red", {}, { Subnet: "10.2.0.0/24" }, { Subnet: "10.3.0.0/24" }))).toBe(
		"forbidden: bridge driver doesn't support multiple subnets",
	);
	expect(await refused(request("red", { options: { "com.docker.network.bridge.name": "mine0" } }))).toContain(
		"networks have same bridge name",
	);
	expect(networks.list().length).toBe(4);
});

test("a bridge that cannot be made leaves no network", async () => {
	const { networks, driver, store } = engine();
	driver.failure = new Error("no such luck");
	expect(networks.create(request("blue"))).rejects.toThrow("no such luck");
	expect([networks.list().length, store.network("blue")]).toEqual([3, undefined]);
});

test("remove refuses predefined networks and those in use, prune passes over them", async () => {
	const { networks, endpoints, bridges, seen } = engine();
	for (const name of ["blue", "red", "old"]) await networks.create(request(name));
	const user = { containerId: "c", endpointId: "0123456789abcdef", name: "web", mac: "", ip: "", prefixLength: 16 };
	endpoints.set("blue", [user]);
	expect(networks.remove("none")).rejects.toThrow("none is a pre-defined network and cannot be removed");
	expect(networks.remove("nope")).rejects.toThrow("network nope not found");
	expect(networks.remove("blue")).rejects.toThrow(
		'error while removing network: network blue has active endpoints (name:"web" id:"0123456789ab")',
	);
	await networks.remove("old");
	expect(seen.slice(-2)).toEqual(["firewall", "network destroy old"]);
	expect(await networks.prune(({ name }) => name !== "green")).toEqual(["red"]);
	expect(networks.list().map(({ name }) => name)).toEqual(["bridge", "host", "none", "blue"]);
	expect(bridges.size).toBe(2);
});

function cidr(text: string): Cidr {
	return parseCidr(text) ?? { base: 0, prefixLength: 32 };
}

test("IPv6 is given by a subnet, or by one of the instance's own; without IPv4 where that is off", async () => {
	const { networks } = engine();
	const made = async (name: string, more: Partial<NetworkRequest>, ...pools: { Subnet: string }[]) =>
		networks.inspect((await networks.create(request(name, { enableIpv6: true, ...more }, ...pools))).id);
	const first = await made("first", {});
	const pools = first.config?.ipam.config ?? [];
	expect(pools.map(({ Subnet }) => Subnet.includes(":"))).toEqual([false, true]);
	expect(pools[1]).toEqual({ Subnet: "fd00::/64", Gateway: "fd00::1" });
	const second = await made("second", { enableIpv4: false });
	expect(second.subnet).toBeUndefined();
	expect(second.config).toMatchObject({ enableIpv4: false, enableIpv6: true });
	expect(second.config?.ipam.config[0]?.Subnet).not.toBe(pools[1]?.Subnet ?? "");
	const third = await made("third", {}, { Subnet: "fd77::/64" });
	expect(third.config).toMatchObject({ subnet6Asked: true, subnetAsked: false });
	expect(third.config?.ipam.config.map(({ Subnet }) => Subnet)).toEqual(["fd77::/64", "172.19.0.0/16"]);
	const no = (more: Partial<NetworkRequest>, ...config: { Subnet: string }[]) => made("no", more, ...config);
	expect(no({}, { Subnet: "fd77::/48" })).rejects.toThrow("Pool overlaps");
	expect(no({}, { Subnet: "fd78::/64" }, { Subnet: "fd79::/64" })).rejects.toThrow("multiple subnets");
	expect(no({ enableIpv4: false, enableIpv6: false })).rejects.toThrow("IPv4 or IPv6 must be enabled");
	expect(no({ options: { "foredeck.mode": "outbound" } })).rejects.toThrow(
		"IPv6 is closed in networks of foredeck.mode=outbound",
	);
});
