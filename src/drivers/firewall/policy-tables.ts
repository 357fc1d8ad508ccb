import { countsOf, parseListing } from "./policy-listing.ts";
import { type LearnedName, NO_POLICIES, type PolicyModel, type RuleCount } from "./policy-model.ts";
import { type Carried, renderForgotten, renderLearned, renderPolicies, renderPolicyChange } from "./policy-rules.ts";
import { tableOf } from "./ruleset.ts";

/** Addresses that one sandbox may have learned for one rule's names; beyond this the one that ends first is forgotten. */
const MAX_LEARNED = 1024;

/** Time in ms since some moment, that never goes back. */
type Clock = () => number;

interface Learned extends LearnedName {
	readonly endsAt: number;
}

/** The policies' part of one instance's tables: what stands there, and the commands that change it. Runs nothing but listings itself. */
export class PolicyTables {
	private model: PolicyModel = NO_POLICIES;
	private readonly learned = new Map<string, Learned>();
	private counters: Carried["counters"] = new Map();

	constructor(
		private readonly instance: string,
		private readonly list: (command: string) => string,
		private readonly now: Clock = () => performance.now(),
	) {}

	get current(): PolicyModel {
		return this.model;
	}

	/** What an earlier daemon's table has counted and learned; to be called before that is replaced. */
	takeOver(): void {
		const { counters, names } = parseListing(this.listed(`list table ${tableOf(this.instance)}`));
		this.counters = counters;
		for (const name of names) this.remember(name);
	}

	/** The commands for a new table, to follow those that remove the old one. */
	whole(model: PolicyModel = this.model): string {
		return renderPolicies(this.instance, model, this.carried(model));
	}

	/** Of a table that stands: keeps what it has counted. Not for one that may be gone. */
	readCounters(): void {
		if (this.model.policies.length > 0) this.counters = this.read();
	}

	/** The commands that lead to this model; undefined: only a whole new table does. */
	change(next: PolicyModel): string | undefined {
		const text = renderPolicyChange(this.instance, this.model, next);
		if (text === undefined) return undefined;
		return text + renderForgotten(this.instance, this.strangers(next));
	}

	/** This model stands in the kernel now. */
	stands(model: PolicyModel): void {
		for (const name of this.strangers(model)) this.learned.delete(keyOf(name));
		this.counters = this.keptCounters(model);
		this.model = model;
	}

	/** The commands for what is new, or would end earlier than asked; "" where all is known. */
	learn(names: readonly LearnedName[]): string {
		const now = this.now();
		const late = names.filter((name) => (this.learned.get(keyOf(name))?.endsAt ?? 0) < now + name.seconds * 1000 - 500);
		if (late.length === 0) return "";
		for (const name of late) this.remember(name);
		return renderForgotten(this.instance, this.surplus(late)) + renderLearned(this.instance, late);
	}

	counts(): RuleCount[] {
		if (this.model.policies.length === 0) return [];
		this.counters = this.read();
		return countsOf({ counters: this.counters });
	}

	/** The addresses that hold now. */
	names(): LearnedName[] {
		const now = this.now();
		for (const [key, { endsAt }] of this.learned) if (endsAt <= now) this.learned.delete(key);
		return [...this.learned.values()].map(({ endsAt, ...name }) => ({ ...name, seconds: (endsAt - now) / 1000 }));
	}

	private carried(model: PolicyModel): Carried {
		const strangers = new Set(this.strangers(model).map(keyOf));
		return {
			counters: this.keptCounters(model),
			names: this.names().filter((name) => !strangers.has(keyOf(name))),
		};
	}

	/** Of policies that have not changed: their rules' numbers mean the same. */
	private keptCounters(next: PolicyModel): Carried["counters"] {
		const before = new Map(this.model.policies.map((policy) => [policy.name, JSON.stringify(policy)]));
		const same = next.policies.filter(
			(policy) => (before.get(policy.name) ?? JSON.stringify(policy)) === JSON.stringify(policy),
		);
		const names = new Set(same.map(({ name }) => name));
		return new Map([...this.counters].filter(([counter]) => names.has(counter.split(".")[1] ?? "")));
	}

	/** Learned for rules or by sandboxes that this model has not: the address may be another's next. */
	private strangers({ policies, sandboxes }: PolicyModel): Learned[] {
		if (this.learned.size === 0) return [];
		const peers = policies.flatMap(({ rules }) => rules.flatMap((rule) => rule.peers));
		const sets = new Set(peers.flatMap((peer) => (peer.kind === "name" ? [peer.set] : [])));
		const addresses = new Set(sandboxes.flatMap((one) => one.addresses));
		return [...this.learned.values()].filter(({ set, local }) => !sets.has(set) || !addresses.has(local));
	}

	private surplus(fresh: readonly LearnedName[]): Learned[] {
		const gone: Learned[] = [];
		for (const key of new Set(fresh.map(({ set, local }) => `${set} ${local}`))) {
			const own = [...this.learned.values()].filter(({ set, local }) => `${set} ${local}` === key);
			const extra = own.toSorted((a, b) => a.endsAt - b.endsAt).slice(0, Math.max(0, own.length - MAX_LEARNED));
			for (const name of extra) this.learned.delete(keyOf(name));
			gone.push(...extra);
		}
		return gone;
	}

	private remember(name: LearnedName): void {
		this.learned.set(keyOf(name), { ...name, endsAt: this.now() + name.seconds * 1000 });
	}

	private read(): Carried["counters"] {
		const text = this.listed(`list counters table ${tableOf(this.instance)}`);
		return text === "" ? this.counters : parseListing(text).counters;
	}

	/** "" where there is no such table. */
	private listed(command: string): string {
		try {
			return this.list(command);
		} catch {
			return "";
		}
	}
}

function keyOf({ set, local, remote }: LearnedName): string {
	return `${set} ${local} ${remote}`;
}
