import type { PolicyStatus } from "../../../engine/policy/contract.ts";
import type { Peer, Policy, Rule, Selector } from "../../../engine/policy/policy.ts";
import type { PolicyReply } from "./schema.ts";

/** A policy in the words of its file: what may be applied again as it is. */
export interface PolicyDocument {
	readonly name: string;
	readonly select?: Selector;
	readonly default?: Policy["default"];
	readonly rules?: readonly object[];
}

export function policyReply({ policy, ...status }: PolicyStatus): PolicyReply {
	return { policy: documentOf(policy), ...status };
}

export function documentOf({ name, select, default: defaults, rules }: Policy): PolicyDocument {
	return {
		name,
		...(select && { select }),
		...(Object.keys(defaults).length > 0 && { default: defaults }),
		...(rules.length > 0 && { rules: rules.map(ruleOf) }),
	};
}

function ruleOf({ action, direction, peers, protocols, ports, comment }: Rule): object {
	const side = direction === "egress" ? "to" : "from";
	return {
		action,
		...(peers.length > 0 ? { [side]: peers.map(peerOf) } : { direction }),
		...(ports.length > 0 && { ports }),
		...(protocols.length > 0 && { protocols }),
		...(comment !== undefined && { comment }),
	};
}

function peerOf(peer: Peer): object {
	const ports = peer.ports && { ports: peer.ports };
	switch (peer.kind) {
		case "cidr":
			return { cidr: peer.cidr, ...(peer.except.length > 0 && { except: peer.except }), ...ports };
		case "sandboxes":
			return { sandboxes: peer.select, ...ports };
		case "name":
			return { name: peer.name, ...ports };
		case "host":
			return { host: true, ...ports };
	}
}
