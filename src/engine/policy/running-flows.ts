import { createHash } from "node:crypto";
import type { Firewall } from "../../drivers/firewall/driver.ts";
import type { Logger } from "../../shared/log.ts";
import type { PolicyStore } from "../../store/policies.ts";
import { denierOf } from "./ended.ts";
import type { Policy, Subject } from "./policy.ts";
import { peerSets, policiesOf } from "./select.ts";
import { addressesOn } from "./ways.ts";

export interface RunningFlowsOptions {
	readonly store: PolicyStore<Policy>;
	readonly firewall: Pick<Firewall, "learned" | "endFlows">;
	readonly log: Logger;
}

/** Addresses once answered, that flows may have been begun by. */
const MAX_REMEMBERED = 16_384;

/** Connections that run when policies or sandboxes change. */
export class RunningFlows {
	/** By container id, as of the last look at them. */
	private rulings: ReadonlyMap<string, string> | undefined;
	/** One judgement after the other. */
	private ending: Promise<void> | undefined;
	/** `SET LOCAL REMOTE`, oldest first. */
	private readonly remembered = new Map<string, true>();

	constructor(
		private readonly options: RunningFlowsOptions,
		private readonly subjects: () => Subject[],
		/** Whether another call of endDenied is on its way. */
		private readonly followsSoon: () => boolean,
	) {}

	/** At the start of a daemon: an earlier one has seen to the flows there are, unless it was stopped in the middle; then the next look is at all. */
	begin(): void {
		const { store } = this.options;
		if (!store.isUnsettled) this.rulings = rulingsOf(store.list(), this.subjects());
	}

	/** Resolves when what was begun so far is done; rejects when it could not be. */
	settled(): Promise<void> {
		return this.ending ?? Promise.resolve();
	}

	/**
	 * Running flows end where they would be refused now: those of sandboxes whose rules or addresses have changed, or which these policies are about.
	 * Others go on, also those that were begun by a name whose address is not allowed any more, for its time is over.
	 */
	endDenied(named: readonly string[]): Promise<void> {
		const judge = this.judge(named);
		const end = async () => {
			if (!judge) return;
			const ended = await this.options.firewall.endFlows(judge.addresses, judge.isDenied);
			if (ended > 0) this.options.log.info("running flows ended by policies", { flows: ended });
		};
		const earlier = this.ending;
		const own = (earlier ? earlier.then(end, end) : end()).then(() => {
			if (this.ending !== own) return;
			this.ending = undefined;
			// What fails is left to the next change, and to the next start.
			if (!this.followsSoon()) this.options.store.settle();
		});
		this.ending = own;
		return own;
	}

	private judge(named: readonly string[]) {
		const [policies, subjects] = [
			this.options.store.list(),
			this.subjects().filter(({ endpoints }) => endpoints.length > 0),
		];
		const [before, now] = [this.rulings, rulingsOf(policies, subjects)];
		this.rulings = now;
		const isNamed = new Set(named);
		const changed = subjects.filter((one) => {
			const ruling = now.get(one.id);
			if (ruling === undefined) return false;
			if (ruling !== before?.get(one.id)) return true;
			return policiesOf(policies, one).some(({ name }) => isNamed.has(name));
		});
		if (changed.length === 0) return undefined;
		const learned = this.options.firewall.learned();
		const known = new Set(learned.map(({ set, local, remote }) => `${set} ${local} ${remote}`));
		const wasLearned = (...parts: [set: string, local: string, remote: string]) => {
			const key = parts.join(" ");
			return known.has(key) || this.remembered.has(key);
		};
		const isDenied = denierOf({ policies, subjects, changed, wasLearned });
		return { addresses: new Set(changed.flatMap(addressesOn)), isDenied };
	}

	/** This address has been answered to the sandbox for a name of the set. */
	remember(...parts: [set: string, local: string, remote: string]): void {
		const key = parts.join(" ");
		this.remembered.delete(key);
		this.remembered.set(key, true);
		for (const oldest of this.remembered.keys()) {
			if (this.remembered.size <= MAX_REMEMBERED) return;
			this.remembered.delete(oldest);
		}
	}
}

/** All that decides a sandbox's flows but the time, by its id; of those that policies are about. */
function rulingsOf(policies: readonly Policy[], subjects: readonly Subject[]): ReadonlyMap<string, string> {
	const sets = Map.groupBy(peerSets(policies, subjects), ([set]) => set.split(".")[1] ?? "");
	// Each policy with the peers that it means, in short; each list of policies once.
	const marks = new Map(policies.map((one) => [one.name, markOf([one, sets.get(one.name)])]));
	const lists = new Map<readonly Policy[], string>();
	return new Map(
		subjects.flatMap((one): [string, string][] => {
			const own = policiesOf(policies, one);
			if (own.length === 0) return [];
			const list = lists.get(own) ?? markOf(own.map(({ name }) => marks.get(name)));
			lists.set(own, list);
			return [[one.id, [list, ...addressesOn(one)].join(" ")]];
		}),
	);
}

function markOf(value: unknown): string {
	return createHash("sha256").update(JSON.stringify(value)).digest("base64");
}
