import {
	bridgeTable,
	bridgeTableOf,
	type Element,
	elementsOf,
	policedElements,
	renderBridgeRemoval,
} from "./bridge-table.ts";
import type { PolicedSandbox, PolicyModel } from "./policy-model.ts";
import type { GuardedEnd, NetworkRules } from "./ruleset.ts";

/** The bridge table of one instance: what stands there, what shall, and the commands between, which are as long as what has changed. Runs none itself. */
export class BridgeGuard {
	private instance = "";
	private readonly ends = new Set<GuardedEnd>();
	private hosts = new Map<string, GuardedEnd>();
	/** undefined: there are no policies. */
	private policed: Map<string, PolicedSandbox> | undefined;
	/** How many want an element. */
	private readonly uses = new Map<string, number>();
	/** What is not in the kernel yet, and what still is. */
	private readonly fresh = new Map<string, Element>();
	private readonly gone = new Map<string, Element>();

	add(ends: readonly GuardedEnd[]): void {
		for (const end of ends) {
			if (this.ends.has(end)) continue;
			this.ends.add(end);
			this.want(elementsOf(end));
		}
	}

	drop(ends: readonly GuardedEnd[]): void {
		for (const end of ends) if (this.ends.delete(end)) this.unwant(elementsOf(end));
	}

	/** The host is guarded on all networks. */
	setNetworks(networks: readonly NetworkRules[]): void {
		const hosts = networks.flatMap(({ bridge, host }) => (host ? [{ bridge, ...host }] : []));
		this.hosts = this.exchange(this.hosts, hosts, elementsOf);
	}

	setPolicies({ policies, sandboxes }: PolicyModel): void {
		const next = this.exchange(this.policed ?? new Map(), policies.length > 0 ? sandboxes : [], policedElements);
		this.policed = policies.length > 0 ? next : undefined;
	}

	/** The commands for a new table. */
	whole(instance: string): string {
		this.instance = instance;
		const ends = [...this.hosts.values(), ...this.ends];
		const model = { ends, ...(this.policed && { policed: [...this.policed.values()] }) };
		return renderBridgeRemoval(instance) + bridgeTable(instance, model);
	}

	/** The commands for what has come; they count as run. What has gone stays for `change`. */
	additions(): string {
		return this.commands("add", this.fresh);
	}

	/** The commands that make the standing table so; they count as run. Not for one with policies where it was without, nor the other way round. */
	change(): string {
		return this.commands("delete", this.gone) + this.commands("add", this.fresh);
	}

	/** What shall be stands in the kernel. */
	stands(): void {
		this.fresh.clear();
		this.gone.clear();
	}

	private exchange<T>(before: ReadonlyMap<string, T>, after: readonly T[], elements: (one: T) => Iterable<Element>) {
		const next = new Map(after.map((one) => [JSON.stringify(one), one]));
		for (const [key, one] of before) if (!next.has(key)) this.unwant(elements(one));
		for (const [key, one] of next) if (!before.has(key)) this.want(elements(one));
		return next;
	}

	private want(elements: Iterable<Element>): void {
		for (const element of elements) {
			const key = element.join(" ");
			const count = this.uses.get(key) ?? 0;
			this.uses.set(key, count + 1);
			if (count === 0 && !this.gone.delete(key)) this.fresh.set(key, element);
		}
	}

	private unwant(elements: Iterable<Element>): void {
		for (const element of elements) {
			const key = element.join(" ");
			const count = (this.uses.get(key) ?? 0) - 1;
			if (count > 0) {
				this.uses.set(key, count);
				continue;
			}
			this.uses.delete(key);
			if (!this.fresh.delete(key)) this.gone.set(key, element);
		}
	}

	private commands(verb: "add" | "delete", elements: Map<string, Element>): string {
		const bySet = Map.groupBy(elements.values(), ([set]) => set);
		elements.clear();
		const texts = ([set, own]: [string, Element[]]) =>
			`${verb} element ${bridgeTableOf(this.instance)} ${set} { ${own.map(([, text]) => text).join(", ")} }\n`;
		return [...bySet].map(texts).join("");
	}
}
