import type { NetworkRecord } from "../../engine/sandboxes/contract.ts";

/** docker lists endpoints in inspect only. */
export function networkView(network: NetworkRecord, withContainers: boolean) {
	const pool = network.subnet
		? [{ Subnet: network.subnet, ...(network.gateway ? { Gateway: network.gateway } : {}) }]
		: null;
	return {
		Name: network.name,
		Id: network.id,
		Created: network.created,
		Scope: "local",
		Driver: network.driver,
		EnableIPv4: true,
		EnableIPv6: false,
		IPAM: { Driver: "default", Options: null, Config: pool },
		Internal: false,
		Attachable: false,
		Ingress: false,
		ConfigFrom: { Network: "" },
		ConfigOnly: false,
		Containers: withContainers ? Object.fromEntries(network.endpoints.map(endpointView)) : {},
		Options: network.bridge ? { "com.docker.network.bridge.name": network.bridge } : {},
		Labels: {},
	};
}

function endpointView(endpoint: NetworkRecord["endpoints"][number]) {
	const view = {
		Name: endpoint.name,
		EndpointID: endpoint.endpointId,
		MacAddress: endpoint.mac,
		IPv4Address: endpoint.ip ? `${endpoint.ip}/${endpoint.prefixLength}` : "",
		IPv6Address: "",
	};
	return [endpoint.containerId, view] as const;
}
