import type { EndpointConfig } from "../../engine/containers/record.ts";
import type { NetworkRequest } from "../../engine/networks/contract.ts";
import { boolean, type Decode, integer, isEffective, list, map, nullable, object, optional, string } from "../body.ts";

const pool = object({
	Subnet: optional(string()),
	IPRange: optional(string()),
	Gateway: optional(string()),
	AuxiliaryAddresses: optional(map(string())),
});

const CREATE = object({
	Name: string(),
	Driver: string(),
	Scope: string(),
	EnableIPv4: boolean(true),
	EnableIPv6: boolean(),
	IPAM: object({ Driver: string(), Options: nullable(map(string())), Config: list(pool) }),
	Internal: boolean(),
	Attachable: boolean(),
	Ingress: boolean(),
	ConfigOnly: boolean(),
	ConfigFrom: object({ Network: string() }),
	Options: map(string()),
	Labels: map(string()),
});

/** The body of `POST /networks/create`. */
export const decodeNetwork: Decode<NetworkRequest> = (value, path) => {
	const asked = CREATE(value, path);
	return {
		name: asked.Name,
		driver: asked.Driver,
		scope: asked.Scope,
		internal: asked.Internal,
		attachable: asked.Attachable,
		ingress: asked.Ingress,
		configOnly: asked.ConfigOnly,
		configFrom: asked.ConfigFrom.Network,
		enableIpv4: asked.EnableIPv4,
		enableIpv6: asked.EnableIPv6,
		labels: asked.Labels,
		options: asked.Options,
		ipam: { driver: asked.IPAM.Driver, options: asked.IPAM.Options, config: asked.IPAM.Config },
	};
};

export type Endpoint = Omit<EndpointConfig, "networkName">;

const ENDPOINT = object({
	IPAMConfig: nullable(
		object({
			IPv4Address: optional(string()),
			IPv6Address: optional(string()),
			LinkLocalIPs: optional(list(string())),
		}),
	),
	Links: nullable(list(string())),
	Aliases: nullable(list(string())),
	MacAddress: string(),
	DriverOpts: nullable(map(string())),
	GwPriority: integer(),
});

/** Docker's EndpointSettings as a request: what has no effect is left out. */
export const decodeEndpoint: Decode<Endpoint> = (value, path) => {
	const { IPAMConfig, Links, Aliases, MacAddress, DriverOpts, GwPriority } = ENDPOINT(value, path);
	const ipam = IPAMConfig && Object.fromEntries(Object.entries(IPAMConfig).filter(([, one]) => isEffective(one)));
	return {
		...(ipam && { ipamConfig: ipam }),
		...(isEffective(Links) && { links: Links ?? [] }),
		...(isEffective(Aliases) && { aliases: Aliases ?? [] }),
		...(MacAddress && { macAddress: MacAddress }),
		...(isEffective(DriverOpts) && { driverOpts: DriverOpts ?? {} }),
		...(GwPriority !== 0 && { gwPriority: GwPriority }),
	};
};

export const decodeConnect = object({
	Container: string(),
	EndpointConfig: (value, path): Endpoint => (value === undefined || value === null ? {} : decodeEndpoint(value, path)),
});

export const decodeDisconnect = object({ Container: string(), Force: boolean() });
