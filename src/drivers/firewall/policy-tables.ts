import { countsOf, parseListing } from "./policy-listing.ts";
import { type LearnedName, NO_POLICIES, type PolicyModel, type PolicyRules, type RuleCount } from "./policy-model.ts";
import { type Carried, renderForgotten, renderLearned, renderPolicies, renderPolicyChange } from "./policy-rules.ts";
import { grown, joined, shrunk, versioned } from "./policy-standing.ts";
import { isSameRules, plainName, versionOf } from "./policy-versions.ts";

/** Addresses that one sandbox may have learned for one rule's names; beyond this the one that ends first is forgotten. */
const MAX_LEARNED = 1024;

/** The instance's table as it stands. */
export interface KernelTable {
	/** As nft tells it; "" where there is none. */
	listing(): string;
	/** By name; none where there is no table. */
	counters(): Carried["counters"];
}

/** Time in ms since some moment, that never goes back. */
type Clock = () => number;

interface Learned extends LearnedName {
	readonly endsAt: number;
}

/** What stands in the kernel, by the names that it has there. */
interface Standing {
	/** With what is not in force any more, or not yet. */
	readonly drawn: PolicyModel;
	/** What each of its policies is drawn from. */
	readonly sources: ReadonlyMap<string, PolicyRules>;
	/** Those of them that are in force. */
	readonly inForce: ReadonlyMap<string, PolicyRules>;
}

/** The policies' part of one instance's tables: what stands there, and the commands that change it. Only reads itself. */
export class PolicyTables {
	private model: PolicyModel = NO_POLICIES;
	private readonly learned = new Map<string, Learned>();
	private counters: Carried["counters"] = new Map();
	private standing: Standing = standingOf(NO_POLICIES);
	/** What stands when the commands that were asked for last have been run, and the model that is in force then. */
	private pending: (Standing & { readonly model: PolicyModel }) | undefined;
	/** Not in force yet, and not to be swept away. */
	private preparing: PolicyModel | undefined;
	private version = 0;

	constructor(
		private readonly instance: string,
		private readonly kernel: KernelTable,
		private readonly now: Clock = () => performance.now(),
	) {}

	get current(): PolicyModel {
		return this.model;
	}

	/** What an earlier daemon's table has counted and learned; to be called before that is replaced. */
	takeOver(): void {
		const { counters, names } = parseListing(this.kernel.listing());
		const newestLast = [...counters].toSorted(([a], [b]) => versionOf(policyOf(a)) - versionOf(policyOf(b)));
		this.counters = new Map(newestLast.map(([counter, count]) => [plainCounter(counter), count]));
		for (const name of names) this.remember(name);
	}

	/** The commands for a new table, to follow those that remove the old one. */
	whole(model: PolicyModel = this.model): string {
		this.pending = undefined;
		return renderPolicies(this.instance, model, this.carried(model));
	}

	/** Of a table that stands: keeps what it has counted. Not for one that may be gone. */
	readCounters(): void {
		if (this.model.policies.length > 0) this.counters = this.read();
	}

	/** The commands that lead to this model; undefined: only a whole new table does. Of what it does not need, more may stay than is in the way: see sweep. */
	change(next: PolicyModel): string | undefined {
		const { drawn, sources } = this.versioned(next);
		const all = joined(this.standing.drawn, drawn);
		const wanted = this.preparing ? joined(drawn, this.preparing) : drawn;
		const text = this.lead(next, next.policies.length === 0 ? drawn : shrunk(all, wanted), sources, sources);
		return text === undefined ? undefined : renderForgotten(this.instance, this.strangers(next)) + text;
	}

	/** The commands for a slice of what this model needs and does not stand yet, none of which takes effect before `change`; undefined: that can do the rest. */
	prepare(next: PolicyModel): string | undefined {
		const { drawn, sources } = this.versioned(next);
		const more = grown(this.standing.drawn, drawn);
		this.preparing = more && drawn;
		return more && this.lead(this.model, more, sources, this.standing.inForce);
	}

	/** The commands that take away a slice of what is not needed any more; undefined: all that stands is. */
	sweep(): string | undefined {
		if (this.preparing) return undefined;
		const { drawn, inForce, sources } = this.standing;
		const less = shrunk(drawn, this.versioned(this.model).drawn);
		return less === drawn ? undefined : this.lead(this.model, less, sources, inForce);
	}

	/** This model stands in the kernel now. */
	stands(model: PolicyModel): void {
		for (const name of this.strangers(model)) this.learned.delete(keyOf(name));
		this.counters = this.keptCounters(model);
		this.model = model;
		this.standing = this.pending?.model === model ? this.pending : standingOf(model);
		this.pending = undefined;
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

	private versioned(model: PolicyModel) {
		return versioned(model, this.standing.sources, () => ++this.version);
	}

	private lead(
		model: PolicyModel,
		drawn: PolicyModel,
		more: Standing["sources"],
		inForce: Standing["inForce"],
	): string | undefined {
		const known = new Map([...this.standing.sources, ...more]);
		const sources = new Map(
			drawn.policies.flatMap(({ name }) => {
				const source = known.get(name);
				return source ? [[name, source]] : [];
			}),
		);
		this.pending = { model, drawn, sources, inForce };
		return renderPolicyChange(this.instance, this.standing.drawn, drawn);
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
		if (next === this.model) return this.counters;
		const before = new Map(this.model.policies.map((policy) => [policy.name, policy]));
		const same = next.policies.filter((policy) => isSameRules(before.get(policy.name) ?? policy, policy));
		const names = new Set(same.map(({ name }) => name));
		return new Map([...this.counters].filter(([counter]) => names.has(policyOf(counter))));
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
		const { inForce } = this.standing;
		const own = [...this.kernel.counters()].filter(([counter]) => inForce.has(policyOf(counter)));
		return own.length === 0 ? this.counters : new Map(own.map(([counter, count]) => [plainCounter(counter), count]));
	}
}

function keyOf({ set, local, remote }: LearnedName): string {
	return `${set} ${local} ${remote}`;
}

/** As a table that is written whole has it. */
function standingOf(model: PolicyModel): Standing {
	const sources = new Map(model.policies.map((policy) => [policy.name, policy]));
	return { drawn: model, sources, inForce: sources };
}

/** `lock/3` of `rule.lock/3.0` */
function policyOf(counter: string): string {
	return counter.split(".")[1] ?? "";
}

function plainCounter(counter: string): string {
	const [kind = "", policy = "", rule = ""] = counter.split(".");
	return `${kind}.${plainName(policy)}.${rule}`;
}
