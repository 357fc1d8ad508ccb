import type { Reach, Topology, TopologyNetwork, TopologySandbox } from "./contract.ts";

export const HOST = "(host)";
export const INTERNET = "(internet)";

/** What policies leave of a way between two ends, each a container's id, HOST or INTERNET: limits, none where they say nothing; undefined: nothing of it. */
export type PolicyReach = (from: string, to: string) => readonly string[] | undefined;

/** Who can begin a conversation with whom, as ruleset and policies decide it. Pairs in the sandboxes' order. */
export function reachOf(
	networks: readonly TopologyNetwork[],
	sandboxes: readonly TopologySandbox[],
	policies?: PolicyReach,
): Reach[] {
	const open = openReach(networks, sandboxes);
	if (!policies) return open;
	const ids = new Map(sandboxes.map(({ id, name, owner }) => [name, owner ?? id]));
	return open.flatMap((one) => {
		const limits = policies(ids.get(one.from) ?? one.from, ids.get(one.to) ?? one.to);
		if (!limits) return [];
		return [limits.length > 0 ? { ...one, limits } : one];
	});
}

function openReach(networks: readonly TopologyNetwork[], sandboxes: readonly TopologySandbox[]): Reach[] {
	const byId = new Map(networks.map((network) => [network.id, network]));
	const nodes = sandboxes.map((sandbox) => ({ sandbox, on: sandbox.networks.flatMap(({ id }) => byId.get(id) ?? []) }));
	return nodes.flatMap((from) => [
		...nodes.flatMap((to) => (from === to ? [] : (between(from, to) ?? []))),
		...outwards(from),
		...fromHost(from),
	]);
}

interface Node {
	readonly sandbox: TopologySandbox;
	readonly on: readonly TopologyNetwork[];
}

function between(from: Node, to: Node): Reach | undefined {
	const names = { from: from.sandbox.name, to: to.sandbox.name };
	const common = from.on.find((network) => network.kind === "bridge" && network.icc && to.on.includes(network));
	if (common) return { ...names, how: "all", via: common.name };
	if (isOnHost(to)) return isFree(from) ? { ...names, how: "all", via: wayOut(from)?.name ?? "host" } : undefined;
	if (isOnHost(from)) return hostTo(to, names);
	const out = wayOut(from);
	const ports = portsOf(to);
	return out && isFree(from) && ports.length > 0 ? { ...names, how: "ports", via: out.name, ports } : undefined;
}

/** The host itself, what the LAN has, and the internet. */
function outwards(from: Node): Reach[] {
	const name = from.sandbox.name;
	if (isOnHost(from)) return [{ from: name, to: INTERNET, how: "all", via: "host" }];
	const out = wayOut(from);
	const bridge = from.on.find(
		({ kind, outbound, gateway, gateway6 }) => kind === "bridge" && !outbound && (gateway ?? gateway6) !== undefined,
	);
	return [
		...(bridge ? [{ from: name, to: HOST, how: "all", via: bridge.name } as const] : []),
		...(out ? [{ from: name, to: INTERNET, how: out.outbound ? "internet" : "all", via: out.name } as const] : []),
	];
}

function fromHost(to: Node): Reach[] {
	if (isOnHost(to)) return [{ from: HOST, to: to.sandbox.name, how: "all", via: "host" }];
	const reach = hostTo(to, { from: HOST, to: to.sandbox.name });
	return reach ? [reach] : [];
}

function hostTo(to: Node, names: { from: string; to: string }): Reach | undefined {
	const network = to.on.find(({ kind, outbound }) => kind === "bridge" && !outbound);
	return network && { ...names, how: "all", via: network.name };
}

/** The networks come best first. */
function wayOut({ on }: Node): TopologyNetwork | undefined {
	return on.find(({ kind, internal }) => kind === "bridge" && !internal);
}

/** Its way out leads to published ports of others too. */
function isFree(node: Node): boolean {
	return isOnHost(node) || wayOut(node)?.outbound === false;
}

function isOnHost({ on }: Node): boolean {
	return on.some(({ kind }) => kind === "host");
}

export function portsOf({ sandbox }: Pick<Node, "sandbox">): string[] {
	return sandbox.ports.map(portText);
}

/** `0.0.0.0:8080->80/tcp`, or `80/tcp` where the container's own address is reached. */
export function portText({ hostIp, hostPort, containerPort, protocol }: TopologySandbox["ports"][number]): string {
	const inside = `${containerPort}/${protocol}`;
	const host = hostIp.includes(":") ? `[${hostIp}]` : hostIp || "0.0.0.0";
	return hostPort === 0 ? inside : `${host}:${hostPort}->${inside}`;
}

/** Of the pair, undefined where there is none. */
export function findReach({ reach = [] }: Topology, from: string, to: string): Reach | undefined {
	return reach.find((one) => one.from === from && one.to === to);
}
