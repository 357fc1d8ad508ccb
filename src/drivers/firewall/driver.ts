import type { NetworkRules, PortForward, RulesetModel } from "./ruleset.ts";

/** Keeps one instance's table, also against others: what they change in it is put back soon after. Changes asked for in one tick of the event loop are one transaction. */
export interface Firewall {
	/** Writes the table whole. */
	apply(model: RulesetModel): void;
	/** Writes the table whole for these networks; ports stay as they are. */
	setNetworks(networks: readonly NetworkRules[]): void;
	/** Resolves when the kernel has the ports. */
	publish(ports: readonly PortForward[]): Promise<void>;
	unpublish(ports: readonly PortForward[]): Promise<void>;
	/** Deletes the table: for a daemon that leaves no container behind. */
	remove(): void;
	/** Leaves the table as it is, and no longer to be put back. */
	close(): void;
}
