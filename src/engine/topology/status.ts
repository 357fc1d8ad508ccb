import { formatIp, parseIp } from "../../shared/ip.ts";
import type { NetworkObserver, NetworkStatus, ObservedLink, TopologyNetwork, TopologySandbox } from "./contract.ts";
import { portText } from "./reach.ts";

/** What the engine's records own. */
export interface Owned {
	/** How this instance's bridges are marked. */
	readonly mark: string;
	readonly networks: readonly TopologyNetwork[];
	readonly sandboxes: readonly TopologySandbox[];
	/** Of sandboxes made ahead of need too. */
	readonly namespaces: readonly string[];
	readonly links: readonly string[];
	readonly leases: readonly { readonly containerId: string; readonly network: string; readonly address: string }[];
}

/** Compares what is with what should be; changes nothing. */
export function statusOf(owned: Owned, observer: NetworkObserver): NetworkStatus {
	const links = observer.links();
	const forwards = observer.forwards();
	const bridges = owned.networks.filter(({ bridge }) => bridge !== undefined);
	const ours = links.filter(({ alias }) => alias === owned.mark);
	const ports = portsOf(owned, forwards);
	return {
		bridges: bridges.map((network) => bridgeStatus(network, links, owned.sandboxes)),
		ports: ports.map(({ container, published, active }) => ({ container, published, active })),
		leaks: [
			...interfaceLeaks(owned, ours, links).map((name) => ({ kind: "interface" as const, name })),
			...without(observer.namespaces(), owned.namespaces).map((name) => ({ kind: "namespace" as const, name })),
			...forwardLeaks(forwards, ports).map((name) => ({ kind: "port" as const, name })),
			...leaseLeaks(owned).map((name) => ({ kind: "lease" as const, name })),
		],
		faults: faultsOf(owned, observer, bridges, links),
	};
}

function bridgeStatus(
	{ id, name: network, bridge = "" }: TopologyNetwork,
	links: readonly ObservedLink[],
	sandboxes: readonly TopologySandbox[],
) {
	const link = links.find(({ name }) => name === bridge);
	const members = link ? links.filter(({ master }) => master === link.index) : [];
	const sum = (pick: (one: ObservedLink) => number) => members.reduce((total, one) => total + pick(one), 0);
	return {
		name: bridge,
		network,
		up: link?.up ?? false,
		mtu: link?.mtu ?? 0,
		sandboxes: sandboxes.filter((one) => one.networks.some((on) => on.id === id)).length,
		sentBytes: sum(({ rxBytes }) => rxBytes),
		receivedBytes: sum(({ txBytes }) => txBytes),
		dropped: sum(({ dropped }) => dropped),
		errors: sum(({ errors }) => errors),
	};
}

function interfaceLeaks(owned: Owned, ours: readonly ObservedLink[], links: readonly ObservedLink[]): string[] {
	const bridges = owned.networks.flatMap(({ bridge }) => bridge ?? []);
	const indexes = new Set(ours.map(({ index }) => index));
	const cables = links.filter(({ master }) => master !== undefined && indexes.has(master)).map(({ name }) => name);
	return [
		...without(
			ours.map(({ name }) => name),
			bridges,
		),
		...without(cables, owned.links),
	];
}

function faultsOf(
	owned: Owned,
	observer: NetworkObserver,
	bridges: readonly TopologyNetwork[],
	links: readonly ObservedLink[],
): string[] {
	const names = new Map(links.map((link) => [link.name, link]));
	const there = new Set(observer.namespaces());
	return [
		...bridges.flatMap(({ name, bridge = "" }) => {
			const link = names.get(bridge);
			if (!link) return [`bridge ${bridge} of network ${name} is missing`];
			return link.up ? [] : [`bridge ${bridge} of network ${name} is down`];
		}),
		...owned.sandboxes.flatMap(({ name, networks }) =>
			networks.flatMap(({ hostLink, name: network }) => {
				if (!hostLink) return [];
				const link = names.get(hostLink);
				if (!link) return [`interface ${hostLink} of ${name} on ${network} is missing`];
				const bridge = owned.networks.find((one) => one.name === network)?.bridge ?? "";
				return link.master === names.get(bridge)?.index
					? []
					: [`interface ${hostLink} of ${name} is not on bridge ${bridge}`];
			}),
		),
		...owned.namespaces.filter((path) => !there.has(path)).map((path) => `namespace ${path} is missing`),
		...(observer.forwards() ? [] : ["the firewall table is missing"]),
	];
}

/** With the key that the ruleset has for it. */
function portsOf({ sandboxes }: Owned, forwards: ReadonlyMap<string, string> | undefined) {
	return sandboxes.flatMap((sandbox) =>
		sandbox.ports
			.filter(({ hostPort }) => hostPort !== 0)
			.map((port) => {
				const key = keyOf(port);
				return { container: sandbox.name, published: portText(port), key, active: forwards?.has(key) ?? false };
			}),
	);
}

function keyOf({ hostIp, protocol, hostPort }: TopologySandbox["ports"][number]): string {
	const address = parseIp(hostIp) ?? 0;
	const key = `${protocol} . ${hostPort}`;
	const own = address === 0 || address === 0n ? key : `${formatIp(address)} . ${key}`;
	return typeof address === "bigint" ? `ip6 ${own}` : own;
}

function forwardLeaks(forwards: ReadonlyMap<string, string> | undefined, ports: readonly { key: string }[]): string[] {
	const known = new Set(ports.map(({ key }) => key));
	return [...(forwards ?? [])].flatMap(([key, target]) => (known.has(key) ? [] : [`${key} to ${target}`]));
}

function leaseLeaks({ leases, sandboxes }: Owned): string[] {
	const ids = new Set(sandboxes.map(({ id }) => id));
	return leases.flatMap(({ containerId, network, address }) =>
		ids.has(containerId) ? [] : [`${address} on ${network} of container ${containerId.slice(0, 12)}`],
	);
}

function without(all: readonly string[], known: readonly string[]): string[] {
	const set = new Set(known);
	return all.filter((one) => !set.has(one));
}
