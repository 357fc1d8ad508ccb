import type { FlowEnds } from "../../drivers/firewall/policy-model.ts";
import { decide, type Party, type Service } from "./decide.ts";
import { nameSet } from "./names.ts";
import type { Policy, Subject } from "./policy.ts";
import { policiesOf } from "./select.ts";
import { addressesOn } from "./ways.ts";

/** What running flows are judged by. */
export interface FlowJudge {
	readonly policies: readonly Policy[];
	readonly subjects: readonly Subject[];
	/** Those whose flows are judged. */
	readonly changed: readonly Subject[];
	/** Whether our resolver has ever answered this address to a sandbox for a name of this set: what was begun by it may go on. */
	wasLearned(set: string, local: string, remote: string): boolean;
}

/** Whether policies would refuse this flow, did it begin now: the same questions that the kernel's rules ask of a first packet. */
export function denierOf(judge: FlowJudge): (flow: FlowEnds) => boolean {
	const { policies } = judge;
	const owners = new Map(judge.subjects.flatMap((one) => addressesOn(one).map((address) => [address, one])));
	const own = new Map(judge.changed.map((one) => [one.id, policiesOf(policies, one)]));
	const peers = [...new Set([...own.values()].flat())].flatMap(({ rules }) => rules.flatMap((rule) => rule.peers));
	const sets = new Map(peers.flatMap((peer) => (peer.kind === "name" ? [[peer.name, nameSet(peer.name)]] : [])));
	return ({ client, server, clientIsHost, serverIsHost, protocol, port }) => {
		const [sender, receiver] = [owners.get(client), owners.get(server)];
		const service: Service = { protocol, ...(port !== undefined && { port }) };
		const names = [...sets].flatMap(([name, set]) => (judge.wasLearned(set, client, server) ? [name] : []));
		const goal = party(server, receiver, serverIsHost, names);
		const source = party(client, sender, clientIsHost, []);
		const isDenied = (one: Subject | undefined, direction: "egress" | "ingress", other: Party) => {
			const rules = own.get(one?.id ?? "");
			return (
				one !== undefined && rules !== undefined && decide(rules, one, direction, other, service).action === "deny"
			);
		};
		return isDenied(sender, "egress", goal) || isDenied(receiver, "ingress", source);
	};
}

function party(address: string, subject: Subject | undefined, host: boolean, names: readonly string[]): Party {
	return { addresses: [address], names, host, ...(subject && { subject }) };
}
