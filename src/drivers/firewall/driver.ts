import type { DeniedPacket, FlowEnds, LearnedName, PolicyModel, RuleCount } from "./policy-model.ts";
import type { GuardedEnd, NetworkRules, PortForward, RulesetModel } from "./ruleset.ts";

/** Keeps one instance's table, also against others: what they change in it is put back soon after. Changes asked for in one tick of the event loop are one transaction. */
export interface Firewall {
	/** Writes the table whole. What an earlier one has counted and learned for policies stays. */
	apply(model: RulesetModel, policies?: PolicyModel): void;
	/** When it returns, nobody else on their bridges can be who these are: their MACs and addresses are theirs alone. To be asked before they are on the wire. */
	guard(ends: readonly GuardedEnd[]): void;
	/** Those of before, the same objects: what was theirs may be anybody's, a little later. */
	unguard(ends: readonly GuardedEnd[]): void;
	/** Makes the table so for these networks, in one transaction that is as long as what has changed; ports stay as they are. */
	setNetworks(networks: readonly NetworkRules[]): void;
	/** Resolves when the kernel has the ports. */
	publish(ports: readonly PortForward[]): Promise<void>;
	unpublish(ports: readonly PortForward[]): Promise<void>;
	/** Deletes the table: for a daemon that leaves no container behind. */
	remove(): void;
	/** Leaves the table as it is, and no longer to be put back. */
	close(): void;
	/** Brings what these policies need and what is not there yet, a slice in each turn of the event loop. None of it takes effect: setPolicies is to follow, which is short then. */
	preparePolicies(policies: PolicyModel): Promise<void>;
	/** Makes the policies' part so, in one transaction; what has not changed is not touched. Throws with all as it was. */
	setPolicies(policies: PolicyModel): void;
	/** From now on, and for so long, these addresses are what rules with names mean. */
	learn(names: readonly LearnedName[]): void;
	/** The addresses that hold now. */
	learned(): readonly LearnedName[];
	/** What rules and defaults have decided so far. */
	policyCounts(): readonly RuleCount[];
	/** Ends the running flows from or to these addresses that `isDenied` picks: their next packet is judged as a first one. Tells how many; few are ended when this returns, many bit by bit. One call after the other. */
	endFlows(addresses: ReadonlySet<string>, isDenied: (flow: FlowEnds) => boolean): Promise<number>;
	/** Tells of denied packets until it is disposed of. Throws where the kernel has no packet log, or another program hears it. */
	watchDenied(instance: string, onPacket: (packet: DeniedPacket) => void): Disposable;
}
