import type { NetworkRules } from "../../drivers/firewall/ruleset.ts";
import type { IpamDriver, Leases, Leases6 } from "../../drivers/ipam/driver.ts";
import type { BridgeSpec, NetworkDriver, Wire } from "../../drivers/network/driver.ts";
import {
	type Cidr,
	type Cidr6,
	formatCidr,
	formatCidr6,
	overlaps,
	overlaps6,
	parseCidr,
	parseCidr6,
} from "../../shared/cidr.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { formatIp, formatIpv4, formatIpv6 } from "../../shared/ip.ts";
import type { Logger } from "../../shared/log.ts";
import type { NetworkRow, NetworkStore } from "../../store/networks.ts";
import { type BridgeSettings, bridgeSettings } from "./bridge-options.ts";
import { isConfigOnly } from "./config-only.ts";
import { findNetwork } from "./find.ts";
import { addressPlan, addressPlan6, isIpv6Pool } from "./ipam-config.ts";
import { openModes } from "./modes.ts";
import { openPredefined } from "./predefined.ts";
import { isWire, type WireSettings, wireSettings } from "./wire.ts";

/** A bridge network whose bridge is up. */
export interface BridgeNetwork {
	readonly id: string;
	readonly name: string;
	readonly row: NetworkRow;
	/** The interface that endpoints are joined to; with `wire` the parent, which may be the host's own. */
	readonly bridge: string;
	/** The bridge's own; none of a macvlan. */
	readonly mac?: string;
	/** Undefined: they are joined to a bridge. */
	readonly wire?: WireSettings;
	/** Of each family that the network has; one at least. */
	readonly leases?: Leases;
	readonly leases6?: Leases6;
	readonly settings: BridgeSettings;
	readonly internal: boolean;
	/** Its members do not know each other, nor other containers. */
	readonly alone: boolean;
	/** Containers' way out: `172.18.0.1`, or `0.0.0.0` straight out of their interface; undefined where the network leads nowhere. */
	readonly gateway?: string;
	readonly gateway6?: string;
	/** Of the predefined network: no aliases, no addresses of the client's choice. */
	readonly isDefault: boolean;
}

export interface LiveNetworksOptions {
	readonly instance: string;
	readonly store: NetworkStore;
	readonly network: NetworkDriver;
	readonly ipam: IpamDriver;
	readonly log: Logger;
	/** Whether there are networks for the sandbox modes; default: no. */
	readonly modes?: boolean;
}

/** The networks there are, with their bridges and address books. Rows are in the store before anything is made of them. */
export class LiveNetworks {
	private readonly bridges = new Map<string, BridgeNetwork>();
	private others: NetworkRow[] = [];
	/** Stored, but what they hang on could not be made: they are listed, and can be removed. */
	private readonly failed = new Map<string, NetworkRow>();
	/** What networks are made from: nothing is made of them. */
	private readonly configOnly = new Map<string, NetworkRow>();

	constructor(private readonly options: LiveNetworksOptions) {}

	/** How this instance's interfaces are marked. */
	get mark(): string {
		return `foredeck ${this.options.instance}`;
	}

	/** Makes the predefined networks and all in the store so. One whose bridge cannot be made keeps the others from nothing. */
	open(): void {
		const { store, instance, network, ipam, log } = this.options;
		const used = (own: string, ownName = "bridge") => {
			const rows = store.networks();
			const stored = rows.flatMap((row) => (row.name === ownName ? [] : subnetsOf(row)));
			return [...network.usedNetworks([own, ...rows.flatMap(({ bridge }) => bridge ?? [])]), ...stored];
		};
		const predefined = openPredefined(store, instance, used, ipam.chooseSubnet, log);
		this.others = [predefined.host, predefined.none];
		this.openBridge(predefined.bridge);
		const modes = this.options.modes ? openModes(store, instance, used, log) : [];
		this.others.push(...modes.filter(({ driver }) => driver === "null"));
		const isBridge = ({ driver, config }: NetworkRow) => config !== null && (driver === "bridge" || isWire(driver));
		for (const row of store.networks().filter(isBridge)) this.tryOpen(row);
		for (const row of store.networks().filter(isConfigOnly)) this.addConfigOnly(row);
	}

	/** One that others are made from. */
	addConfigOnly(row: NetworkRow): void {
		this.configOnly.set(row.id, row);
	}

	/** Makes the bridge of a row that is in the store. */
	add(row: NetworkRow): BridgeNetwork {
		return this.openBridge(row);
	}

	/** Forgets the network; its bridge goes a little later. */
	remove(id: string): void {
		const known = this.bridges.get(id);
		this.bridges.delete(id);
		this.failed.delete(id);
		this.configOnly.delete(id);
		// The last one of those that share a parent takes it down, where it is ours: the driver leaves the host's own alone.
		if (known && !this.bridgeNames().includes(known.bridge)) void this.options.network.remove(known.bridge);
	}

	/** Makes so again what others have taken away: the interface that networks hang on. */
	repair(bridge: string): void {
		const network = [...this.bridges.values()].find((one) => one.bridge === bridge);
		if (!network) return;
		if (network.wire) this.openParent(network.wire);
		else this.bridges.set(network.id, { ...network, ...this.options.network.open(this.specOf(network)) });
	}

	/** Takes every bridge down, for a daemon that leaves no container behind. */
	removeAll(): void {
		for (const name of this.bridgeNames()) void this.options.network.remove(name);
	}

	/** All, in the order they were made. */
	rows(): readonly NetworkRow[] {
		const [first, ...more] = [...this.bridges.values()].map(({ row }) => row);
		return [...(first ? [first] : []), ...this.others, ...more, ...this.configOnly.values(), ...this.failed.values()];
	}

	row(name: "host" | "none"): NetworkRow {
		return findNetwork(this.others, name);
	}

	/** The network without interfaces of this id or name: none, or that of a sandbox mode. */
	bare(ref: string): NetworkRow | undefined {
		const found = this.others.find(({ id }) => id === ref) ?? this.others.find(({ name }) => name === ref);
		return found?.driver === "null" ? found : undefined;
	}

	bridge(id: string): BridgeNetwork | undefined {
		return this.bridges.get(id);
	}

	/** The bridge network of this id or name; "not-found" in docker's words. */
	find(ref: string): BridgeNetwork {
		const isPattern = [...this.configOnly.values()].some(({ id, name }) => id === ref || name === ref);
		if (isPattern) throw new EngineError("forbidden", "cannot create endpoint on configuration-only network");
		return findNetwork([...this.bridges.values()], ref);
	}

	/** Interfaces on the host that networks hang on. */
	bridgeNames(): string[] {
		return [...this.bridges.values()].map(({ bridge }) => bridge);
	}

	/** What new networks must not overlap: the host's networks and ours. */
	used(): Cidr[] {
		return [...this.options.network.usedNetworks([]), ...this.subnets()];
	}

	/** Of IPv6, ours alone: nobody else has the /48 that our subnets come from. */
	used6(): Cidr6[] {
		return [...this.bridges.values()].flatMap(({ leases6 }) => leases6?.subnets ?? []);
	}

	/** Whether one of our networks has addresses of this one. */
	overlapsOurs(text: string): boolean {
		const [subnet, subnet6] = [parseCidr(text), parseCidr6(text)];
		if (subnet6) return this.used6().some((other) => overlaps6(other, subnet6));
		return subnet !== undefined && this.subnets().some((other) => overlaps(other, subnet));
	}

	/** What the firewall is told of each. */
	rules(): NetworkRules[] {
		const bridges = [...this.bridges.values()].filter(({ wire }) => !wire);
		return bridges.map((network) => ({ ...rulesOf(network), ...this.hostOn(network) }));
	}

	/** The host's own MAC and addresses on a bridge. */
	private hostOn(network: BridgeNetwork): Pick<NetworkRules, "host"> {
		if (!network.mac) return {};
		const { gateway, ipv6 } = this.specOf(network);
		const addresses = [gateway, ipv6?.gateway].flatMap((one) => (one === undefined ? [] : formatIp(one)));
		return { host: { mac: network.mac, addresses } };
	}

	private subnets(): Cidr[] {
		return [...this.bridges.values()].flatMap(({ leases }) => leases?.subnets ?? []);
	}

	private tryOpen(row: NetworkRow): void {
		try {
			this.openBridge(row);
		} catch (error) {
			this.failed.set(row.id, row);
			this.options.log.error("network not opened", { name: row.name, id: row.id, error: messageOf(error) });
		}
	}

	private openBridge(row: NetworkRow): BridgeNetwork {
		const made = isWire(row.driver) ? this.onWire(row, row.driver) : this.openedBridge(row);
		this.bridges.set(row.id, made);
		return made;
	}

	/** Beyond its parent there is nothing of it on the host. */
	private onWire(row: NetworkRow, driver: Wire["driver"]): BridgeNetwork {
		const { id, name, config } = row;
		const internal = config?.internal ?? false;
		const settings = bridgeSettings(config?.options ?? {}, internal);
		const wire = wireSettings(driver, id, config?.options ?? {});
		const { parent, routed } = wire;
		this.openParent(wire);
		const books = this.books(row, { four: internal || routed, six: internal || routed });
		return {
			...{ id, name, row, bridge: parent, wire, ...books, settings, internal },
			...(routed && !internal ? straightOut(books) : waysOf(books, internal)),
			alone: false,
			isDefault: false,
		};
	}

	private openedBridge(row: NetworkRow): BridgeNetwork {
		if (!row.bridge) throw new EngineError("internal", `cannot open network ${row.name}: no bridge stored`);
		const internal = row.config?.internal ?? false;
		const settings = bridgeSettings(row.config?.options ?? {}, internal);
		const isolated = { four: settings.gatewayMode === "isolated", six: settings.gatewayMode6 === "isolated" };
		const books = this.books(row, isolated);
		const made = {
			...{ id: row.id, name: row.name, row, bridge: row.bridge, settings, internal },
			...books,
			...waysOf(books, internal),
			alone: settings.outbound,
			isDefault: row.config === null,
		};
		return { ...made, ...this.options.network.open(this.specOf(made)) };
	}

	private openParent({ parent: name, make, wire: { driver } }: WireSettings): void {
		this.options.network.openParent({ name, alias: this.mark, driver, ...(make && { make }) });
	}

	private specOf({ bridge: name, leases, leases6, settings, internal }: BridgeNetwork): BridgeSpec {
		const hostless = settings.gatewayMode === "isolated" || settings.inhibitIpv4;
		const gateway = hostless ? undefined : leases?.gateway;
		const gateway6 = settings.gatewayMode6 === "isolated" ? undefined : leases6?.gateway;
		return {
			name,
			alias: this.mark,
			...(leases && { gateway, prefixLength: leases.subnet.prefixLength }),
			...(leases6 && { ipv6: { gateway: gateway6, prefixLength: leases6.subnet.prefixLength, forward: !internal } }),
			mtu: settings.mtu,
			bigTcp: settings.bigTcp,
		};
	}

	/** The address books of the families that are switched on. `free`: of which no address is kept for a gateway that nobody asked for. */
	private books(
		{ name, subnet, config }: NetworkRow,
		free: { readonly four: boolean; readonly six: boolean },
	): Pick<BridgeNetwork, "leases" | "leases6"> {
		const { ipam } = this.options;
		const pools = config?.ipam.config ?? [{ Subnet: subnet ?? "" }];
		const plans = pools.filter((one) => !isIpv6Pool(one) && parseCidr(one.Subnet)).map(addressPlan);
		const [four, ...more] = plans.map((plan) => ipam.leases(plan.subnet, { ...plan, gatewayFree: free.four }));
		const [six, ...more6] = pools
			.filter(isIpv6Pool)
			.map(addressPlan6)
			.map((plan) => ipam.leases6(plan.subnet, { ...plan, gatewayFree: free.six }));
		const on = (config?.enableIpv4 ?? true) && four;
		const on6 = config?.enableIpv6 && six;
		if (!on && !on6) throw new EngineError("internal", `cannot open network ${name}: stored subnet ${subnet}`);
		return {
			...(on && { leases: ipam.together(on, more) }),
			...(on6 && { leases6: ipam.together(on6, more6) }),
		};
	}
}

/** Of IPv4, all that a stored network has. */
function subnetsOf({ subnet, config }: NetworkRow): Cidr[] {
	if (config?.configOnly) return [];
	const texts = config?.ipam.config.map(({ Subnet }) => Subnet) ?? (subnet ? [subnet] : []);
	return texts.flatMap((text) => parseCidr(text) ?? []);
}

/** Ways out without a gateway: see addDefaultRoute(). */
function straightOut({ leases, leases6 }: Pick<BridgeNetwork, "leases" | "leases6">) {
	return { ...(leases && { gateway: "0.0.0.0" }), ...(leases6 && { gateway6: "::" }) };
}

/** Containers' ways out by a network that leads anywhere. */
function waysOf(
	{ leases, leases6 }: Pick<BridgeNetwork, "leases" | "leases6">,
	internal: boolean,
): Pick<BridgeNetwork, "gateway" | "gateway6"> {
	if (internal) return {};
	return {
		...(leases && { gateway: formatIpv4(leases.gateway) }),
		...(leases6 && { gateway6: formatIpv6(leases6.gateway) }),
	};
}

function rulesOf({ bridge, leases, leases6, internal, settings }: BridgeNetwork): NetworkRules {
	return {
		bridge,
		...(leases && { subnet: formatCidr(leases.subnet) }),
		internal,
		icc: settings.icc,
		masquerade: settings.masquerade,
		unprotected: settings.gatewayMode === "nat-unprotected",
		...(settings.outbound && { outbound: { allowed: settings.allowed } }),
		...(leases6 && {
			ipv6: {
				subnet: formatCidr6(leases6.subnet),
				masquerade: settings.masquerade6,
				unprotected: settings.gatewayMode6 === "nat-unprotected",
				routed: settings.gatewayMode6 === "routed",
			},
		}),
	};
}
