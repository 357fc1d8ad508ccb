import {
	bridgeChange,
	bridgeSets,
	bridgeTable,
	bridgeTableOf,
	elementsOf,
	renderBridgeRemoval,
} from "./bridge-table.ts";
import type { PolicedSandbox, PolicyModel } from "./policy-model.ts";
import type { GuardedEnd, NetworkRules } from "./ruleset.ts";

/** The bridge table of one instance: what stands there, what shall, and the commands between. Runs none itself. */
export class BridgeGuard {
	private instance = "";
	private readonly ends = new Set<GuardedEnd>();
	private hosts: readonly GuardedEnd[] = [];
	private policed: readonly PolicedSandbox[] | undefined;
	private standing: ReadonlyMap<string, Set<string>> = new Map();

	/** The commands for new ends; "" where all is known, or no table stands yet. They count as run. */
	add(ends: readonly GuardedEnd[]): string {
		const table = bridgeTableOf(this.instance);
		const lines: string[] = [];
		for (const end of ends) {
			this.ends.add(end);
			for (const [name, element] of elementsOf(end)) {
				const set = this.standing.get(name);
				if (!set || set.has(element)) continue;
				set.add(element);
				lines.push(`add element ${table} ${name} { ${element} }\n`);
			}
		}
		return lines.join("");
	}

	/** They are guarded until the next change. */
	drop(ends: readonly GuardedEnd[]): void {
		for (const end of ends) this.ends.delete(end);
	}

	/** The host is guarded on all networks. */
	setNetworks(networks: readonly NetworkRules[]): void {
		this.hosts = networks.flatMap(({ bridge, host }) => (host ? [{ bridge, ...host }] : []));
	}

	setPolicies({ policies, sandboxes }: PolicyModel): void {
		this.policed = policies.length > 0 ? sandboxes : undefined;
	}

	/** The commands for a new table. */
	whole(instance: string): string {
		this.instance = instance;
		return renderBridgeRemoval(instance) + bridgeTable(instance, this.model());
	}

	/** The commands that make the standing table so; not for one with policies where it was without, nor the other way round. */
	change(): string {
		return bridgeChange(this.instance, this.standing, bridgeSets(this.model()));
	}

	/** What shall be stands in the kernel. */
	stands(): void {
		this.standing = bridgeSets(this.model());
	}

	private model() {
		return { ends: [...this.hosts, ...this.ends], ...(this.policed && { policed: this.policed }) };
	}
}
