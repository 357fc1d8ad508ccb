import { randomInt } from "node:crypto";
import type { Firewall } from "../../drivers/firewall/driver.ts";
import type { GuardedEnd } from "../../drivers/firewall/ruleset.ts";
import type { EndpointAddress, NetworkDriver } from "../../drivers/network/driver.ts";
import { EngineError } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import { formatIp, formatIpv4, formatIpv6, type IpAddress, parseIp } from "../../shared/ip.ts";
import { macOfIpv4 } from "../../shared/mac.ts";
import type { EndpointSettings } from "../containers/record.ts";
import type { BridgeNetwork } from "../networks/live.ts";
import type { Elsewhere, SubjectEndpoint } from "../policy/policy.ts";
import type { EndpointRequest } from "./contract.ts";
import { hostLinkName } from "./prepared.ts";

/** A sandbox's interface on one network, its addresses leased: one of each family that the network has. */
export interface Endpoint {
	readonly network: BridgeNetwork;
	readonly address?: number;
	readonly address6?: bigint;
	readonly settings: EndpointSettings;
	/** What nobody else on its bridge may be; none on a macvlan. */
	readonly guarded?: GuardedEnd;
}

/** What endpoints are made with. */
export interface Wiring {
	readonly network: NetworkDriver;
	readonly firewall: Pick<Firewall, "guard" | "unguard">;
}

/**
 * Connects the namespace to the network. `used` are the names of its interfaces so far; undefined for a namespace that has never had one. What keeps
 * others from being it stands before it is on the wire, and so does what `beforehand` does. Leaves nothing on failure.
 */
export function connectEndpoint(
	wiring: Wiring,
	path: string,
	network: BridgeNetwork,
	request: Omit<EndpointRequest, "network">,
	used: readonly string[] | undefined,
	beforehand: (endpoint: Endpoint) => void = () => {},
): Endpoint {
	if (request.linkName && used?.includes(request.linkName)) {
		const text = `failed to add interface to sandbox: error renaming interface to "${request.linkName}": file exists`;
		throw new EngineError("internal", text);
	}
	if (request.macAddress && network.wire?.wire.driver === "ipvlan") {
		throw new EngineError("invalid", "ipvlan interfaces do not support custom mac address assignment");
	}
	const leased = leaseAddresses(network, request);
	const endpointId = createId();
	const mac = request.macAddress ?? (network.wire ? anyMac() : macOf(leased));
	const macAddress = network.wire?.wire.driver === "ipvlan" ? "" : mac;
	const name = request.linkName ?? freeName(network.settings.linkPrefix, used ?? []);
	const hostLink = network.wire ? "" : hostLinkName(endpointId);
	const { gwPriority } = request;
	const own = { endpointId, macAddress, link: name, hostLink, ...(gwPriority && { gwPriority }) };
	const endpoint = guardedEndpoint({ network, ...leased, settings: settingsOf(network, leased, own) });
	try {
		if (endpoint.guarded) wiring.firewall.guard([endpoint.guarded]);
		beforehand(endpoint);
		wiring.network.connect(path, {
			bridge: network.bridge,
			link: hostLink,
			name,
			addresses: [...interfaceAddresses(network, leased, used === undefined), ...linkLocal(request.linkLocal)],
			mac,
			...(network.wire && { wire: network.wire.wire }),
			isolated: !network.settings.icc,
			members: Math.max(network.leases?.count ?? 0, network.leases6?.count ?? 0),
			...(used === undefined && { first: true }),
			...(request.sysctls && { sysctls: request.sysctls }),
		});
	} catch (error) {
		releaseEndpoint(wiring, endpoint);
		throw error;
	}
	return endpoint;
}

/** With what is to be guarded of it. */
export function guardedEndpoint(endpoint: Endpoint): Endpoint {
	const { network, settings } = endpoint;
	const { hostLink, macAddress } = settings;
	if (network.wire || !hostLink || !macAddress) return endpoint;
	// As nft reads it.
	const mac = macAddress.toLowerCase().replaceAll("-", ":");
	return { ...endpoint, guarded: { bridge: network.bridge, link: hostLink, mac, addresses: addressTexts(endpoint) } };
}

/** What the endpoint holds: its addresses may be another's. Safe to repeat. */
export function releaseEndpoint({ firewall }: Pick<Wiring, "firewall">, endpoint: Endpoint): void {
	releaseAddresses(endpoint);
	if (endpoint.guarded) firewall.unguard([endpoint.guarded]);
}

type Leased = Pick<Endpoint, "address" | "address6">;

/** What inspect shows of the endpoint. */
function settingsOf(
	{ name, id, leases, leases6, gateway, gateway6, wire }: BridgeNetwork,
	{ address, address6 }: Leased,
	own: Pick<EndpointSettings, "endpointId" | "macAddress" | "link" | "hostLink" | "gwPriority">,
): EndpointSettings {
	return {
		networkName: name,
		networkId: id,
		...own,
		...(leases &&
			address !== undefined && {
				ipAddress: formatIpv4(address),
				prefixLength: leases.poolOf(address).subnet.prefixLength,
				...(gateway && !wire?.routed && { gateway: formatIpv4(leases.poolOf(address).gateway) }),
			}),
		...(leases6 &&
			address6 !== undefined && {
				ipv6Address: formatIpv6(address6),
				ipv6PrefixLength: leases6.poolOf(address6).subnet.prefixLength,
				...(gateway6 && !wire?.routed && { ipv6Gateway: formatIpv6(leases6.poolOf(address6).gateway) }),
			}),
	};
}

/** With default routes for a sandbox that has no other interface. */
function interfaceAddresses(network: BridgeNetwork, leased: Leased, routes: boolean): EndpointAddress[] {
	const { leases, leases6, gateway, gateway6 } = network;
	const { address, address6 } = leased;
	const found: EndpointAddress[] = [];
	if (leases && address !== undefined) {
		const { prefixLength } = leases.poolOf(address).subnet;
		found.push({ address, prefixLength, ...(gateway && routes && { gateway: routeOf(network, leased) }) });
	}
	if (leases6 && address6 !== undefined) {
		const { prefixLength } = leases6.poolOf(address6).subnet;
		found.push({ address: address6, prefixLength, ...(gateway6 && routes && { gateway: routeOf6(network, leased) }) });
	}
	return found;
}

/** The default route by this endpoint: the gateway of its pool, or 0 for straight out of its interface. */
export function routeOf({ leases, wire }: BridgeNetwork, { address }: Leased): number | undefined {
	if (address === undefined) return undefined;
	return wire?.routed ? 0 : leases?.poolOf(address).gateway;
}

export function routeOf6({ leases6, wire }: BridgeNetwork, { address6 }: Leased): bigint | undefined {
	if (address6 === undefined) return undefined;
	return wire?.routed ? 0n : leases6?.poolOf(address6).gateway;
}

/** Beside its own; nobody keeps account of them. */
function linkLocal(texts: readonly string[] = []): EndpointAddress[] {
	return texts.flatMap((text) => {
		const address = parseIp(text);
		return address === undefined ? [] : [{ address, prefixLength: typeof address === "bigint" ? 64 : 16 }];
	});
}

/** Docker's old stable form: of the IPv4 address, or of the end of the other. */
function macOf({ address, address6 = 0n }: Leased): string {
	return macOfIpv4(address ?? Number(address6 & 0xffffffffn));
}

/** For a wire that others share: none may come again while the kernel still takes its last owner apart, nor be another host's. */
function anyMac(): string {
	return macOfIpv4(randomInt(2 ** 32));
}

function releaseAddresses({ network, address, address6 }: Omit<Endpoint, "settings">): void {
	if (address !== undefined) network.leases?.release(address);
	if (address6 !== undefined) network.leases6?.release(address6);
}

/** The addresses of an endpoint, as text. */
export function addressTexts({ address, address6 }: Leased): string[] {
	return [address, address6].flatMap((one) => (one === undefined ? [] : formatIp(one)));
}

/** The network that is the way out, of a family: highest priority, then one that leads out in both families, as docker has it, then first by name; undefined where none leads anywhere. */
export function gatewayOf<T extends Pick<Endpoint, "network" | "settings">>(
	endpoints: readonly T[],
	family: 4 | 6 = 4,
): T | undefined {
	const leads = ({ network }: T) => (family === 6 ? network.gateway6 : network.gateway) !== undefined;
	const both = ({ network }: T) => (network.gateway6 !== undefined && network.gateway !== undefined ? 1 : 0);
	const priority = ({ settings }: T) => settings.gwPriority ?? 0;
	const order = (a: T, b: T) => priority(b) - priority(a) || both(b) - both(a) || byPriority(a, b);
	return endpoints.filter(leads).toSorted(order)[0];
}

/** The ways out of both families. */
export interface WaysOut {
	readonly four?: Endpoint;
	readonly six?: Endpoint;
}

export function waysOut(endpoints: readonly Endpoint[]): WaysOut {
	return { four: gatewayOf(endpoints), six: gatewayOf(endpoints, 6) };
}

/** Docker's order of endpoints. */
export function byPriority(
	a: { settings: Pick<EndpointSettings, "networkName" | "gwPriority"> },
	b: { settings: Pick<EndpointSettings, "networkName" | "gwPriority"> },
): number {
	const [first, second] = [a.settings.gwPriority ?? 0, b.settings.gwPriority ?? 0];
	if (first !== second) return second - first;
	return a.settings.networkName < b.settings.networkName ? -1 : 1;
}

/** Both or none. */
function leaseAddresses(network: BridgeNetwork, request: Omit<EndpointRequest, "network">): Leased {
	const { leases, leases6, name, id } = network;
	const address = leases && leaseAddress(leases, request.address, "IPv4", `${name} (${id})`);
	try {
		const address6 = leases6 && leaseAddress(leases6, request.address6, "IPv6", `${name} (${id})`);
		return { ...(address !== undefined && { address }), ...(address6 !== undefined && { address6 }) };
	} catch (error) {
		releaseAddresses({ network, ...(address !== undefined && { address }) });
		throw error;
	}
}

interface Book<T extends IpAddress> {
	allocate(): T;
	take(address: T): boolean;
}

function leaseAddress<T extends IpAddress>(
	leases: Book<T>,
	wanted: string | undefined,
	family: "IPv4" | "IPv6",
	network: string,
): T {
	if (wanted === undefined) return anyAddress(leases, family, network);
	const address = parseIp(wanted) as T | undefined;
	if (address === undefined || !leases.take(address)) throw new EngineError("forbidden", "Address already in use");
	return address;
}

/** Full is said in docker's words, and as docker does as an internal error. */
function anyAddress<T extends IpAddress>(leases: Book<T>, family: string, network: string): T {
	try {
		return leases.allocate();
	} catch (cause) {
		const text = `no available ${family} addresses on this network's address pools: ${network}`;
		throw new EngineError("internal", text, { cause });
	}
}

/** The lowest number that no interface has, as docker: eth0 comes back when it is free again. */
function freeName(prefix: string, used: readonly string[]): string {
	for (let number = 0; ; number++) {
		const name = `${prefix}${number}`;
		if (!used.includes(name)) return name;
	}
}

/** A sandbox's endpoints as policies know them: on our bridges they hold, on a macvlan's wire they do not. */
export function memberOf(endpoints: readonly Endpoint[]): {
	readonly endpoints: SubjectEndpoint[];
	readonly elsewhere: Elsewhere[];
} {
	const onBridges = endpoints.filter(({ network }) => !network.wire);
	const others = endpoints.filter(({ network }) => network.wire);
	return {
		endpoints: onBridges.map((one) => ({
			network: one.network.name,
			bridge: one.network.bridge,
			addresses: addressTexts(one),
			gateways: [one.network.gateway, one.network.gateway6].flatMap((text) => text ?? []),
			link: one.settings.hostLink ?? "",
		})),
		elsewhere: others.map((one) => ({
			network: one.network.name,
			driver: one.network.row.driver,
			addresses: addressTexts(one),
		})),
	};
}
