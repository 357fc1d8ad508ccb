import { parseIpv4 } from "../../shared/ip.ts";
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
	/** The network that both are on. */
	readonly common?: TopologyNetwork;
	readonly target?: string;
	/** What the resolver is asked. */
	readonly name?: string;
}

/** Which address and name stand for B as A sees it. */
export function planCheck(request: CheckRequest, from: End, to: End): CheckPlan {
	const common = from.on.find((network) => network.kind === "bridge" && to.on.some(({ id }) => id === network.id));
	const isOutside = to.sandbox === undefined;
	const isAddress = isOutside && parseIpv4(to.name) !== undefined;
	const target = isOutside ? (isAddress ? to.name : undefined) : addressOf(from, to, common);
	const hasResolver = from.on.some(({ kind }) => kind === "bridge");
	const name = hasResolver && !isAddress ? to.name : undefined;
	return { request, from, to, ...(common && { common }), ...(target && { target }), ...(name && { name }) };
}

function addressOf(from: End, { sandbox, on }: End, common: TopologyNetwork | undefined): string | undefined {
	const own = sandbox?.networks ?? [];
	const shared = own.find(({ id }) => id === common?.id)?.address;
	if (shared) return shared;
	// A container in the host's network is found where the host is.
	if (on.some(({ kind }) => kind === "host")) {
		const isOnHost = from.on.some(({ kind }) => kind === "host");
		return isOnHost ? "127.0.0.1" : from.on.find(({ gateway }) => gateway !== undefined)?.gateway;
	}
	return own.find(({ address }) => address !== undefined)?.address;
}

/** `mtu`: of A's interface. */
export function probeOf({ request, from, target, name, common }: CheckPlan, mtu: number): ProbeRequest {
	return {
		...(from.namespace && { namespace: from.namespace }),
		...(name && { name }),
		...(target && { address: target }),
		onLink: common !== undefined,
		mtu,
		...(request.port !== undefined && { port: request.port }),
	};
}
