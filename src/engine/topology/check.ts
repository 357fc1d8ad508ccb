import { parseIp } from "../../shared/ip.ts";
import type { CheckRequest, ProbeRequest, TopologyNetwork, TopologySandbox } from "./contract.ts";

/** One end of a check. */
export interface End {
	readonly name: string;
	/** undefined: no container, an address or a name of the outside. */
	readonly sandbox?: TopologySandbox;
	readonly on: readonly TopologyNetwork[];
	/** `exited`; undefined: it runs. */
	readonly stopped?: string;
	readonly namespace?: string;
}

/** What is tested, decided before anything is. */
export interface CheckPlan {
	readonly request: CheckRequest;
	readonly from: End;
	readonly to: End;
	readonly family: Family;
	/** The network that both are on. */
	readonly common?: TopologyNetwork;
	readonly target?: string;
	/** What the resolver is asked. */
	readonly name?: string;
}

type Family = 4 | 6;

/** Those that are worth a try: that both ends have, IPv4 first. A name of the outside may have any that A has. */
export function familiesOf({ family }: CheckRequest, from: End, to: End): readonly Family[] {
	if (family) return [family];
	const asked = to.sandbox ? undefined : parseIp(to.name);
	if (asked !== undefined) return [typeof asked === "bigint" ? 6 : 4];
	const [own, theirs] = [familiesAt(from), to.sandbox ? familiesAt(to) : ([4, 6] as const)];
	const common = own.filter((one) => theirs.includes(one));
	return common.length > 0 ? common : [4];
}

/** On the host's network it may be both; the other end decides. */
function familiesAt({ sandbox, on }: End): Family[] {
	if (on.some(({ kind }) => kind === "host")) return [4, 6];
	const networks = sandbox?.networks ?? [];
	return [
		...(networks.some(({ address }) => address !== undefined) ? [4 as const] : []),
		...(networks.some(({ address6 }) => address6 !== undefined) ? [6 as const] : []),
	];
}

/** Which address and name stand for B as A sees it. */
export function planCheck(request: CheckRequest, from: End, to: End, family: Family = 4): CheckPlan {
	const common = from.on.find((network) => network.kind === "bridge" && to.on.some(({ id }) => id === network.id));
	const isOutside = to.sandbox === undefined;
	const isAddress = isOutside && parseIp(to.name) !== undefined;
	const target = isOutside ? (isAddress ? to.name : undefined) : addressOf(from, to, common, family);
	const hasResolver = from.on.some(({ kind }) => kind === "bridge");
	const name = hasResolver && !isAddress ? to.name : undefined;
	return { request, from, to, family, ...(common && { common }), ...(target && { target }), ...(name && { name }) };
}

function addressOf(
	from: End,
	{ sandbox, on }: End,
	common: TopologyNetwork | undefined,
	family: Family,
): string | undefined {
	const [address, gateway] = family === 6 ? (["address6", "gateway6"] as const) : (["address", "gateway"] as const);
	const own = sandbox?.networks ?? [];
	const shared = own.find(({ id }) => id === common?.id)?.[address];
	if (shared) return shared;
	// A container in the host's network is found where the host is.
	if (on.some(({ kind }) => kind === "host")) {
		const isOnHost = from.on.some(({ kind }) => kind === "host");
		if (isOnHost) return family === 6 ? "::1" : "127.0.0.1";
		return from.on.find((network) => network[gateway] !== undefined)?.[gateway];
	}
	return own.find((network) => network[address] !== undefined)?.[address];
}

/** `mtu`: of A's interface. */
export function probeOf({ request, from, target, name, common, family }: CheckPlan, mtu: number): ProbeRequest {
	return {
		...(from.namespace && { namespace: from.namespace }),
		...(name && { name }),
		...(target && { address: target }),
		...(family === 6 && { family }),
		onLink: common !== undefined,
		mtu,
		...(request.port !== undefined && { port: request.port }),
	};
}
