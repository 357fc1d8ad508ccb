import type { NetworkRecord } from "../../engine/sandboxes/contract.ts";

/** docker lists endpoints in inspect only. */
export function networkView(network: NetworkRecord, withContainers: boolean) {
	const { config } = network;
	const own = network.subnet ? [{ Subnet: network.subnet, Gateway: network.gateway }] : null;
	return {
		Name: network.name,
		Id: network.id,
		Created: network.created,
		Scope: "local",
		Driver: network.driver,
		EnableIPv4: config?.enableIpv4 ?? true,
		EnableIPv6: config?.enableIpv6 ?? false,
		IPAM: {
			Driver: config?.ipam.driver ?? "default",
			Options: config?.ipam.options ?? null,
			Config: config ? listOf(config.ipam.config) : own,
		},
		Internal: config?.internal ?? false,
		Attachable: config?.attachable ?? false,
		Ingress: false,
		ConfigFrom: { Network: config?.configFrom ?? "" },
		ConfigOnly: config?.configOnly ?? false,
		Containers: withContainers ? Object.fromEntries(network.endpoints.map(endpointView)) : {},
		Options: config?.options ?? (network.bridge ? bridgeOptions(network.bridge) : {}),
		Labels: config?.labels ?? {},
	};
}

/** docker has no list where there is nothing in it. */
function listOf<T>(entries: readonly T[]): readonly T[] | null {
	return entries.length > 0 ? entries : null;
}

/** What the predefined bridge does, by docker's names for it: containers reach each other and the outside, ports are published on all addresses. */
function bridgeOptions(name: string) {
	const option = "com.docker.network.bridge";
	return {
		[`${option}.default_bridge`]: "true",
		[`${option}.enable_icc`]: "true",
		[`${option}.enable_ip_masquerade`]: "true",
		[`${option}.host_binding_ipv4`]: "0.0.0.0",
		[`${option}.name`]: name,
		"com.docker.network.driver.mtu": "1500",
	};
}

function endpointView(endpoint: NetworkRecord["endpoints"][number]) {
	const view = {
		Name: endpoint.name,
		EndpointID: endpoint.endpointId,
		MacAddress: endpoint.mac,
		IPv4Address: endpoint.ip ? `${endpoint.ip}/${endpoint.prefixLength}` : "",
		IPv6Address: endpoint.ipv6 ?? "",
	};
	return [endpoint.containerId, view] as const;
}
