import type { IpamDriver } from "../../drivers/ipam/driver.ts";
import { formatCidr, formatCidr6, overlaps, overlaps6, parseCidr, parseCidr6 } from "../../shared/cidr.ts";
import { EngineError } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import { formatIpv4, formatIpv6 } from "../../shared/ip.ts";
import { nowNano } from "../../shared/time.ts";
import type { IpamPool, NetworkConfig, NetworkRow, NetworkStore } from "../../store/networks.ts";
import type { Events } from "../events.ts";
import type { NetworkRecord, Sandboxes } from "../sandboxes/contract.ts";
import { BIG_TCP, type BridgeSettings, bridgeSettings, wantsIpv6 } from "./bridge-options.ts";
import { checkConfigOnly, checkUnused, withConfigFrom } from "./config-only.ts";
import type { NetworkRequest, Networks } from "./contract.ts";
import { findNetwork } from "./find.ts";
import { addressPlan, addressPlan6, checkPools, isIpv6Pool } from "./ipam-config.ts";
import type { LiveNetworks } from "./live.ts";
import { checkWire, isWire, wireSettings } from "./wire.ts";

export interface NetworksOptions {
	readonly store: NetworkStore;
	readonly live: LiveNetworks;
	readonly ipam: Pick<IpamDriver, "chooseSubnet" | "chooseSubnet6">;
	/** Default: yes. */
	readonly hasIpv6?: () => boolean;
	/** Default: yes. */
	readonly hasBigTcp?: () => boolean;
	/** Whether the kernel has interfaces of this kind; default: yes. */
	readonly knows?: (kind: "ipvlan" | "macvlan") => boolean;
	/** Whether the host has an interface of this name; default: yes. */
	readonly hasLink?: (name: string) => boolean;
	readonly sandboxes: Pick<Sandboxes, "networks" | "networksChanged">;
	readonly events: Events;
}

const PREDEFINED = ["bridge", "host", "none", "default"];

/** Neither made nor removed by users. */
export function isPredefined({ name, config }: Pick<NetworkRecord, "name" | "config">): boolean {
	return PREDEFINED.includes(name) || config?.mode !== undefined;
}

/** Contract: Networks. Every change is one synchronous step: no two requests see each other half done. */
export function createNetworks(options: NetworksOptions): Networks {
	const list = () => options.sandboxes.networks();
	return {
		list,
		inspect: (ref) => findNetwork(list(), ref),
		create: async (request) => create(options, request),
		remove: async (ref) => remove(options, findNetwork(list(), ref)),
		prune: async (chosen) => prune(options, chosen),
	};
}

function create(options: NetworksOptions, asked: NetworkRequest): { id: string } {
	const { store, live, sandboxes, events } = options;
	if (asked.configOnly) return createConfigOnly(options, asked);
	const request = withConfigFrom(asked, live.rows());
	checkRequest(request, options.hasIpv6);
	const settings = bridgeSettings(request.options, request.internal);
	checkBigTcp(request, settings, options.hasBigTcp);
	const pools = checkPools(request.ipam.config);
	checkIpamDriver(request);
	checkNameIsFree(store, request.name);
	const id = createId();
	const chosen = choosePools(options, pools, request, settings);
	const row: NetworkRow = {
		id,
		name: request.name,
		driver: isWire(request.driver) ? request.driver : "bridge",
		created: nowNano(),
		subnet: chosen.find((pool) => !isIpv6Pool(pool))?.Subnet ?? null,
		bridge: isWire(request.driver) ? ownParent(options, id, request) : bridgeNameOf(options, id, settings),
		config: configOf(request, chosen),
	};
	store.putNetwork(row);
	try {
		live.add(row);
		sandboxes.networksChanged();
	} catch (error) {
		live.remove(id);
		store.deleteNetwork(id);
		throw error;
	}
	events.publish("network", "create", id, { name: row.name, type: row.driver });
	return { id };
}

/** Nothing is made of it, and most of it is looked at when a network is made from it. */
function createConfigOnly({ store, live, events }: NetworksOptions, request: NetworkRequest): { id: string } {
	const { name, labels, options, ipam, enableIpv4, enableIpv6 } = request;
	checkName(name);
	checkConfigOnly(request);
	checkPools(ipam.config);
	checkNameIsFree(store, name);
	const id = createId();
	const stored = { internal: false, attachable: false, configOnly: true, subnetAsked: false, labels, options };
	const families = { ...(!enableIpv4 && { enableIpv4 }), ...(enableIpv6 && { enableIpv6 }) };
	const config: NetworkConfig = {
		...{ ...stored, ...families },
		ipam: { ...ipam, driver: ipam.driver || "default", config: checkPools(ipam.config) },
	};
	const row: NetworkRow = { id, name, driver: "null", created: nowNano(), subnet: null, bridge: null, config };
	store.putNetwork(row);
	live.addConfigOnly(row);
	events.publish("network", "create", id, { name, type: row.driver });
	return { id };
}

function checkName(name: string): void {
	if (name.trim() === "") throw new EngineError("invalid", "invalid name: name is empty");
	if (!PREDEFINED.includes(name)) return;
	throw new EngineError("forbidden", `operation is not permitted on predefined ${name} network `);
}

function checkNameIsFree(store: NetworkStore, name: string): void {
	const known = store.network(name);
	if (known?.config?.mode) {
		throw new EngineError("forbidden", `operation is not permitted on predefined ${name} network `);
	}
	if (known) throw new EngineError("conflict", `network with name ${name} already exists`);
}

/** The driver `null` has no addresses to give, and every network needs some: docker's words for it. */
function checkIpamDriver({ ipam, enableIpv4 }: NetworkRequest): void {
	if (ipam.driver === "" || ipam.driver === "default") return;
	if (ipam.driver !== "null") throw new EngineError("not-found", `plugin ${JSON.stringify(ipam.driver)} not found`);
	if (ipam.config.some(({ Subnet }) => Subnet)) {
		throw new EngineError("invalid", "null ipam driver does not handle specific address pool requests");
	}
	throw new EngineError("invalid", enableIpv4 ? "ipv4 pool is empty" : "ipv6 pool is empty");
}

/** What docker refuses, in its words, and what this engine has not yet. */
function checkRequest(request: NetworkRequest, hasIpv6: NetworksOptions["hasIpv6"] = () => true): void {
	const { name, driver } = request;
	const forbidden = (text: string) => new EngineError("forbidden", text);
	checkName(name);
	if (request.ingress) throw forbidden("Ingress network can only be global scope network");
	if (request.scope === "swarm" || request.scope === "global") {
		throw forbidden("cannot create a swarm scoped network when swarm is not active");
	}
	checkDriver(driver);
	const ipv6 = wantsIpv6(request.enableIpv6, request.options);
	if (!request.enableIpv4 && !ipv6) throw new EngineError("invalid", "IPv4 or IPv6 must be enabled");
	if (ipv6 && !hasIpv6()) {
		throw new EngineError(
			"unsupported",
			`cannot create network ${name} with EnableIPv6=true: IPv6 is off on this host`,
		);
	}
	if (ipv6 && request.options["foredeck.mode"] === "outbound") {
		const why = "IPv6 is closed in networks of foredeck.mode=outbound, for what is LAN cannot be told by the address";
		throw new EngineError("unsupported", `cannot create network ${name} with EnableIPv6=true: ${why}`);
	}
}

/** Asked for, it is not silently left out. */
function checkBigTcp(
	{ driver, options }: NetworkRequest,
	{ bigTcp }: BridgeSettings,
	hasBigTcp: NetworksOptions["hasBigTcp"] = () => true,
): void {
	const value = options[BIG_TCP];
	if (value === undefined) return;
	if (driver !== "" && driver !== "bridge") {
		throw new EngineError("invalid", `invalid option ${BIG_TCP}=${value}: only bridge networks have it`);
	}
	if (bigTcp && !hasBigTcp()) {
		throw new EngineError("unsupported", `cannot use option ${BIG_TCP}=${value}: it needs Linux 6.3 or newer`);
	}
}

function checkDriver(driver: string): void {
	if (driver === "" || driver === "bridge" || isWire(driver)) return;
	if (driver === "host" || driver === "null") {
		throw new EngineError("forbidden", `only one instance of "${driver}" network is allowed`);
	}
	if (driver === "overlay") {
		const how = `Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.`;
		throw new EngineError("forbidden", `This node is not a swarm manager. ${how}`);
	}
	throw new EngineError("not-found", `plugin ${JSON.stringify(driver)} not found`);
}

/** The pools asked for; for each family that is on and has none, a free one of the default pools with its gateway. */
function choosePools(
	options: NetworksOptions,
	pools: readonly IpamPool[],
	request: NetworkRequest,
	settings: BridgeSettings,
): IpamPool[] {
	const { store, live, ipam } = options;
	checkOverlaps(live, pools, request.driver);
	const ipv6 = wantsIpv6(request.enableIpv6, request.options);
	const chosen = [...pools];
	const wire = isWire(request.driver) ? wireSettings(request.driver, "", request.options) : undefined;
	const none = wire && (request.internal || wire.routed);
	if (request.enableIpv4 && pools.every(isIpv6Pool)) {
		const subnet = ipam.chooseSubnet(live.used());
		const gateway = none || settings.gatewayMode === "isolated" ? {} : { Gateway: formatIpv4(subnet.base + 1) };
		chosen.push({ Subnet: formatCidr(subnet), ...gateway });
	}
	if (ipv6 && !pools.some(isIpv6Pool)) {
		// The predefined network's id is random, and stays as long as the instance's state does.
		const subnet = ipam.chooseSubnet6(store.network("bridge")?.id ?? "", live.used6());
		const gateway = none || settings.gatewayMode6 === "isolated" ? {} : { Gateway: formatIpv6(subnet.base + 1n) };
		chosen.push({ Subnet: formatCidr6(subnet), ...gateway });
	}
	return chosen;
}

/** "forbidden" for subnets that touch each other or ours, and for two of one family. */
function checkOverlaps(live: LiveNetworks, pools: readonly IpamPool[], driver: string): void {
	const clash = pools.some(
		({ Subnet }, at) =>
			live.overlapsOurs(Subnet) || pools.slice(0, at).some((earlier) => poolsOverlap(earlier.Subnet, Subnet)),
	);
	if (clash)
		throw new EngineError("forbidden", "invalid pool request: Pool overlaps with other one on this address space");
	// Their gateways and other addresses must not be the same.
	for (const pool of pools) isIpv6Pool(pool) ? addressPlan6(pool) : addressPlan(pool);
	const six = pools.filter(isIpv6Pool).length;
	// A wire may carry several; a bridge has one address of its own.
	if (isWire(driver)) return;
	if (six > 1 || pools.length - six > 1) {
		throw new EngineError("forbidden", `${driver || "bridge"} driver doesn't support multiple subnets`);
	}
}

function poolsOverlap(one: string, other: string): boolean {
	const [a, b, a6, b6] = [parseCidr(one), parseCidr(other), parseCidr6(one), parseCidr6(other)];
	return (a && b && overlaps(a, b)) || (a6 && b6 && overlaps6(a6, b6)) || false;
}

/** The interface to be made for a macvlan or ipvlan network; null where the host's own is shared. */
function ownParent(
	{ live, hasLink = () => true, knows = () => true }: NetworksOptions,
	id: string,
	request: NetworkRequest,
): string | null {
	const driver = isWire(request.driver) ? request.driver : "macvlan";
	const settings = wireSettings(driver, id, request.options);
	const others = live.rows();
	const exists = settings.make?.kind !== "dummy" && hasLink(settings.parent);
	checkWire(settings, others, exists);
	if (settings.parent !== "lo" && !knows(driver)) {
		throw new EngineError("unsupported", `cannot create network ${request.name}: this kernel has no ${driver}`);
	}
	return exists ? null : settings.parent;
}

/** Docker's `br-` and the short id, or the name asked for, which no other network may have. */
function bridgeNameOf({ live }: NetworksOptions, id: string, { name }: BridgeSettings): string {
	if (!name) return `br-${id.slice(0, 12)}`;
	const other = live.rows().find(({ bridge }) => bridge === name);
	if (!other) return name;
	throw new EngineError(
		"forbidden",
		`cannot create network ${id} (${name}): conflicts with network ${other.id} (${name}): networks have same bridge name`,
	);
}

function configOf(request: NetworkRequest, pools: readonly IpamPool[]): NetworkConfig {
	const { internal, attachable, labels, options, ipam, enableIpv4, configFrom } = request;
	const asked = ipam.config.map(({ Subnet = "" }) => isIpv6Pool({ Subnet }));
	return {
		internal,
		attachable,
		...(configFrom && { configFrom }),
		subnetAsked: asked.includes(false),
		...(asked.includes(true) && { subnet6Asked: true }),
		...(!enableIpv4 && { enableIpv4 }),
		...(wantsIpv6(request.enableIpv6, options) && { enableIpv6: true }),
		labels,
		options,
		ipam: { driver: "default", options: ipam.options, config: pools },
	};
}

function remove({ store, live, sandboxes, events }: NetworksOptions, network: NetworkRecord): void {
	const { id, name, driver, config } = network;
	if (isPredefined(network)) {
		throw new EngineError("forbidden", `${name} is a pre-defined network and cannot be removed`);
	}
	if (network.endpoints.length > 0) {
		const users = network.endpoints.map(
			(one) => `name:${JSON.stringify(one.name)} id:"${one.endpointId.slice(0, 12)}"`,
		);
		throw new EngineError(
			"forbidden",
			`error while removing network: network ${name} has active endpoints (${users.join(", ")})`,
		);
	}
	if (config?.configOnly) checkUnused(name, live.rows());
	store.deleteNetwork(id);
	live.remove(id);
	if (!config?.configOnly) sandboxes.networksChanged();
	events.publish("network", "destroy", id, { name, type: driver });
}

function prune(options: NetworksOptions, chosen: (network: NetworkRecord) => boolean): string[] {
	const unused = options.sandboxes
		.networks()
		.filter((network) => !isPredefined(network) && !network.config?.configOnly && network.endpoints.length === 0);
	const removed = unused.filter(chosen);
	for (const network of removed) remove(options, network);
	options.events.publish("network", "prune", "", { reclaimed: "0" });
	return removed.map(({ name }) => name);
}
