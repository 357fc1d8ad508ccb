import type { Leases } from "../../drivers/ipam/driver.ts";
import type { NetworkDriver } from "../../drivers/network/driver.ts";
import { EngineError } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import { formatIpv4, parseIpv4 } from "../../shared/ip.ts";
import { macOfIpv4 } from "../../shared/mac.ts";
import type { EndpointSettings } from "../containers/record.ts";
import type { BridgeNetwork } from "../networks/live.ts";
import type { SubjectEndpoint } from "../policy/policy.ts";
import type { EndpointRequest } from "./contract.ts";
import { hostLinkName } from "./prepared.ts";

/** A sandbox's interface on one network, its address leased. */
export interface Endpoint {
	readonly network: BridgeNetwork;
	readonly address: number;
	readonly settings: EndpointSettings;
}

/** Connects the namespace to the network. `used` are the names of its interfaces so far; undefined for a namespace that has never had one. Leaves nothing on failure. */
export function connectEndpoint(
	driver: NetworkDriver,
	path: string,
	network: BridgeNetwork,
	request: Omit<EndpointRequest, "network">,
	used: readonly string[] | undefined,
): Endpoint {
	const address = leaseAddress(network, request.address);
	const endpointId = createId();
	const { gateway, leases } = network;
	const { prefixLength } = leases.subnet;
	const mac = request.macAddress ?? macOfIpv4(address);
	const name = request.linkName ?? freeName(network.settings.linkPrefix, used ?? []);
	const hostLink = hostLinkName(endpointId);
	try {
		driver.connect(path, {
			bridge: network.bridge,
			link: hostLink,
			name,
			address,
			prefixLength,
			mac,
			isolated: !network.settings.icc,
			...(used === undefined && { first: true, ...(gateway && { gateway: leases.gateway }) }),
			...(request.sysctls && { sysctls: request.sysctls }),
		});
	} catch (error) {
		leases.release(address);
		throw error;
	}
	const settings: EndpointSettings = {
		networkName: network.name,
		networkId: network.id,
		endpointId,
		macAddress: mac,
		ipAddress: formatIpv4(address),
		prefixLength,
		...(gateway && { gateway }),
		link: name,
		hostLink,
		...(request.gwPriority && { gwPriority: request.gwPriority }),
	};
	return { network, address, settings };
}

/** The network that is the way out: highest priority, then first by name; undefined where none leads anywhere. */
export function gatewayOf(endpoints: readonly Endpoint[]): Endpoint | undefined {
	return endpoints.filter(({ network }) => network.gateway !== undefined).toSorted(byPriority)[0];
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

function leaseAddress({ leases, name, id }: BridgeNetwork, wanted: string | undefined): number {
	if (wanted === undefined) return anyAddress(leases, name, id);
	const address = parseIpv4(wanted);
	if (address === undefined || !leases.take(address)) throw new EngineError("forbidden", "Address already in use");
	return address;
}

/** Full is said in docker's words, and as docker does as an internal error. */
function anyAddress(leases: Leases, name: string, id: string): number {
	try {
		return leases.allocate();
	} catch (cause) {
		const text = `no available IPv4 addresses on this network's address pools: ${name} (${id})`;
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

/** An endpoint as policies know it. */
export function memberOf({ network, address, settings }: Endpoint): SubjectEndpoint {
	const { hostLink: link = "" } = settings;
	return { network: network.name, bridge: network.bridge, address: formatIpv4(address), link };
}
