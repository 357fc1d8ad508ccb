import { shortId } from "../../shared/id.ts";
import type { ContainerRecord, EndpointSettings } from "../containers/record.ts";
import { bridgeSettings } from "../networks/bridge-options.ts";
import type { NetworkRecord } from "../sandboxes/contract.ts";
import { byPriority } from "../sandboxes/endpoints.ts";
import type { Topology, TopologyNetwork, TopologySandbox } from "./contract.ts";
import { type PolicyReach, reachOf } from "./reach.ts";

/** With more, who reaches whom is longer than anybody reads. */
const MAX_PAIRED = 200;

/** The picture of all networks and running containers. */
export function topologyOf(
	instance: string,
	records: readonly NetworkRecord[],
	containers: readonly ContainerRecord[],
	policies?: PolicyReach,
): Topology {
	const networks = records.map(networkOf);
	const sandboxes = containers
		.filter(isUp)
		.map((one) => sandboxOf(one, containers))
		.toReversed();
	const reach = sandboxes.length > MAX_PAIRED ? {} : { reach: reachOf(networks, sandboxes, policies) };
	return { instance, networks, sandboxes, ...reach };
}

export function isUp({ state }: ContainerRecord): boolean {
	return state.status === "running" || state.status === "paused";
}

export function networkOf(record: NetworkRecord): TopologyNetwork {
	const { id, name, driver, subnet, gateway, subnet6, gateway6, bridge, config } = record;
	const options = driver === "bridge" ? (config?.options ?? {}) : {};
	const settings = bridgeSettings(options, config?.internal ?? false);
	const internal = config?.internal ?? false;
	return {
		id,
		name,
		driver,
		kind: driver === "bridge" ? "bridge" : driver === "host" ? "host" : "none",
		...(config?.mode && { mode: config.mode }),
		...(subnet && { subnet }),
		...(gateway && settings.gatewayMode !== "isolated" && { gateway }),
		...(subnet6 && { subnet6 }),
		...(gateway6 && settings.gatewayMode6 !== "isolated" && { gateway6 }),
		...(bridge && { bridge }),
		internal,
		icc: driver === "bridge" && settings.icc,
		outbound: settings.outbound,
	};
}

/** A container that shares another's network has that one's. */
export function sandboxOf(record: ContainerRecord, all: readonly ContainerRecord[]): TopologySandbox {
	const owner = ownerOf(record, all);
	return {
		id: record.id,
		name: record.name || shortId(record.id),
		...(owner !== record && { owner: owner.id }),
		networks: (owner.network?.endpoints ?? []).toSorted(byChoice).map((one) => ({
			id: one.networkId,
			name: one.networkName,
			...(one.ipAddress && { address: one.ipAddress }),
			...(one.ipv6Address && { address6: one.ipv6Address }),
			...(one.macAddress && { mac: one.macAddress }),
			...(one.link && { link: one.link }),
			...(one.hostLink && { hostLink: one.hostLink }),
		})),
		ports: owner === record ? (record.network?.ports ?? []) : [],
	};
}

/** The way out first, where it leads anywhere. */
function byChoice(a: EndpointSettings, b: EndpointSettings): number {
	return byPriority({ settings: a }, { settings: b });
}

/** The container whose network it has: itself, or the one that it shares with. */
export function ownerOf(record: ContainerRecord, all: readonly ContainerRecord[]): ContainerRecord {
	let owner = record;
	for (let depth = 0; depth < 10; depth++) {
		const [, id] = /^container:(.*)$/.exec(owner.hostConfig.NetworkMode) ?? [];
		const next = id && all.find((one) => one.id === id);
		if (!next) return owner;
		owner = next;
	}
	return owner;
}

/** Where the sandbox's namespace is; undefined: it is the host's. */
export function namespaceOf(record: ContainerRecord, all: readonly ContainerRecord[]): string | undefined {
	return ownerOf(record, all).network?.sandboxPath;
}
