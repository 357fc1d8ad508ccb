import type { NetworkDriver } from "../../drivers/network/driver.ts";
import { formatCidr, formatCidr6 } from "../../shared/cidr.ts";
import { messageOf } from "../../shared/errors.ts";
import { formatIpv4, formatIpv6 } from "../../shared/ip.ts";
import type { Logger } from "../../shared/log.ts";
import type { EndpointSettings, NetworkSettings } from "../containers/record.ts";
import type { BridgeNetwork } from "../networks/live.ts";
import type { SandboxPlace } from "../policy/contract.ts";
import type { JoinRequest, NetworkRecord } from "./contract.ts";
import type { Endpoint } from "./endpoints.ts";
import type { Sandbox } from "./prepared.ts";
import type { Published } from "./publish.ts";

/** What one container has of the network; replaced whole when it changes. */
export interface Joined {
	readonly containerName: string;
	readonly mode: JoinRequest["mode"];
	readonly sandboxId: string;
	readonly path?: string;
	/** On bridge networks only. */
	readonly sandbox?: Sandbox;
	readonly endpoints: readonly Endpoint[];
	/** Of host and none. */
	readonly bare?: EndpointSettings;
	readonly published: Published;
}

/** As inspect of the container shows it. */
export function settingsOf({ sandboxId, path, bare, endpoints, published }: Joined): NetworkSettings {
	return {
		...(path && { sandboxPath: path }),
		sandboxId,
		endpoints: bare ? [bare] : endpoints.map(({ settings }) => settings),
		ports: published.ports,
	};
}

/** Where policies find a container that is going to be on these networks. */
export function placeOf(networks: readonly BridgeNetwork[]): SandboxPlace {
	const named = ({ name: network, bridge }: BridgeNetwork) => ({ network, bridge, addresses: [], link: "" });
	const beyond = ({ name: network, row }: BridgeNetwork) => ({ network, driver: row.driver, addresses: [] });
	return {
		endpoints: networks.filter(({ wire }) => !wire).map(named),
		elsewhere: networks.filter(({ wire }) => wire).map(beyond),
	};
}

export const ON_HOST: SandboxPlace = { elsewhere: [{ network: "host", driver: "host", addresses: [] }] };

/** As inspect of the network shows its subnets. */
export function subnetsOf({
	leases,
	leases6,
}: BridgeNetwork): Pick<NetworkRecord, "subnet" | "gateway" | "subnet6" | "gateway6"> {
	return {
		...(leases && { subnet: formatCidr(leases.subnet), gateway: formatIpv4(leases.gateway) }),
		...(leases6 && { subnet6: formatCidr6(leases6.subnet), gateway6: formatIpv6(leases6.gateway) }),
	};
}

/** Of ipvlan: another is refused the address until the interface is gone, which the namespace takes its time for. */
export function leaveWires(
	{ path = "", endpoints }: Joined,
	driver: Pick<NetworkDriver, "disconnect">,
	log: Pick<Logger, "debug">,
): void {
	for (const { network, settings } of endpoints) {
		if (network.wire?.wire.driver !== "ipvlan") continue;
		try {
			driver.disconnect(path, { name: settings.link ?? "eth0", link: "" });
		} catch (error) {
			log.debug("interface left to its namespace", { path, error: messageOf(error) });
		}
	}
}

/** As inspect of its networks shows containers, by the network's id. */
export function endpointsByNetwork(
	all: ReadonlyMap<string, Joined>,
	nameOf: (containerId: string) => string | undefined,
): ReadonlyMap<string, NetworkRecord["endpoints"]> {
	const found = new Map<string, NetworkRecord["endpoints"][number][]>();
	for (const [containerId, joined] of all) {
		const name = nameOf(containerId) ?? joined.containerName;
		const settings = joined.bare ? [joined.bare] : joined.endpoints.map((one) => one.settings);
		for (const one of settings) {
			const list = found.get(one.networkId) ?? [];
			if (list.length === 0) found.set(one.networkId, list);
			list.push({ containerId, name, ...endpointView(one) });
		}
	}
	return found;
}

function endpointView(one: EndpointSettings): Omit<NetworkRecord["endpoints"][number], "containerId" | "name"> {
	const { endpointId, macAddress: mac = "", ipAddress: ip = "", prefixLength = 0, ipv6Address } = one;
	const ipv6 = ipv6Address && `${ipv6Address}/${one.ipv6PrefixLength ?? 64}`;
	return { endpointId, mac, ip, prefixLength, ...(ipv6 && { ipv6 }) };
}
