import { formatCidr, formatCidr6 } from "../../shared/cidr.ts";
import { formatIpv4, formatIpv6 } from "../../shared/ip.ts";
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
		endpoints: networks.filter(({ macvlan }) => !macvlan).map(named),
		elsewhere: networks.filter(({ macvlan }) => macvlan).map(beyond),
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

/** As inspect of its networks shows the container. */
export function endpointsOf({
	bare,
	endpoints,
}: Joined): (Omit<NetworkRecord["endpoints"][number], "containerId" | "name"> & { readonly networkId: string })[] {
	const all = bare ? [bare] : endpoints.map(({ settings }) => settings);
	return all.map((one) => {
		const { networkId, endpointId, macAddress: mac = "", ipAddress: ip = "", prefixLength = 0, ipv6Address } = one;
		const ipv6 = ipv6Address && `${ipv6Address}/${one.ipv6PrefixLength ?? 64}`;
		return { networkId, endpointId, mac, ip, prefixLength, ...(ipv6 && { ipv6 }) };
	});
}
