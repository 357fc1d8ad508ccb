import type { PolicyGroup, PolicyModel, PolicyRules } from "./policy-model.ts";
import { isSameRules, plainName, renamed, versionName } from "./policy-versions.ts";

/** How much comes or goes in one transaction beside what takes effect, in rules and peers: the event loop is held for some 10 ms. */
const SLICE = 48;

type Parts = Pick<PolicyModel, "policies" | "groups">;

/** Which version of each policy is meant: that of those that stand which says the same, or a new one. */
export function versioned(
	next: PolicyModel,
	sources: ReadonlyMap<string, PolicyRules>,
	fresh: () => number,
): { readonly drawn: PolicyModel; readonly sources: ReadonlyMap<string, PolicyRules> } {
	const standing = Map.groupBy(sources, ([name]) => plainName(name));
	const names = new Map(
		next.policies.map((policy) => {
			const known = standing.get(policy.name) ?? [];
			const same = known.find(([, source]) => isSameRules(source, policy));
			return [policy.name, same?.[0] ?? versionName(policy.name, known.length === 0 ? 0 : fresh())];
		}),
	);
	const drawn = renamed(next, names);
	return { drawn, sources: new Map(next.policies.map((policy) => [names.get(policy.name) ?? policy.name, policy])) };
}

/** What stands, and all of this too; sandboxes are sent by this. */
export function joined(standing: PolicyModel, drawn: PolicyModel): PolicyModel {
	return { ...drawn, ...united(standing, drawn), peers: new Map([...standing.peers, ...drawn.peers]) };
}

/** What stands and a slice more of what it lacks, policies before the groups that lead to them; undefined: it lacks no more than can come at once. */
export function grown(standing: PolicyModel, drawn: PolicyModel): PolicyModel | undefined {
	const lacks = lackOf(drawn, standing);
	const policies = slice(lacks.policies, weightOf);
	const groups = policies.length < lacks.policies.length ? [] : slice(lacks.groups, groupWeight);
	if (policies.length === lacks.policies.length && groups.length === lacks.groups.length) return undefined;
	const peers = new Map([...standing.peers, ...peersOf(drawn, policies)]);
	return { ...standing, ...united(standing, { policies, groups }), peers };
}

/** What stands without a slice of what is not wanted, groups before the policies that they lead to. */
export function shrunk(standing: PolicyModel, wanted: Parts): PolicyModel {
	const stale = lackOf(standing, wanted);
	const groups = new Set(slice(stale.groups, groupWeight));
	const policies = new Set(stale.groups.length > groups.size ? [] : slice(stale.policies, weightOf));
	if (groups.size + policies.size === 0) return standing;
	const kept = standing.policies.filter((one) => !policies.has(one));
	return {
		...standing,
		policies: kept,
		groups: standing.groups.filter((one) => !groups.has(one)),
		peers: new Map(peersOf(standing, kept)),
	};
}

/** What `one` has and `other` has not. */
function lackOf(one: Parts, other: Parts): Parts {
	const names = new Set([...other.policies, ...other.groups].map(({ name }) => name));
	const isLacking = ({ name }: PolicyRules | PolicyGroup) => !names.has(name);
	return { policies: one.policies.filter(isLacking), groups: one.groups.filter(isLacking) };
}

function united(one: Parts, other: Parts): Parts {
	const more = lackOf(other, one);
	return { policies: [...one.policies, ...more.policies], groups: [...one.groups, ...more.groups] };
}

function peersOf({ peers }: PolicyModel, policies: readonly PolicyRules[]): [string, readonly string[]][] {
	const names = new Set(policies.map(({ name }) => name));
	return [...peers].filter(([set]) => names.has(set.split(".")[1] ?? ""));
}

function groupWeight({ policies }: PolicyGroup): number {
	return 4 + 2 * policies.length;
}

function weightOf({ rules }: PolicyRules): number {
	return rules.reduce((sum, { peers }) => sum + 1 + peers.length, 4);
}

/** The first ones, one at least. */
function slice<T>(all: readonly T[], weight: (one: T) => number): readonly T[] {
	let sum = 0;
	const end = all.findIndex((one) => {
		sum += weight(one);
		return sum > SLICE;
	});
	return end < 0 ? all : all.slice(0, Math.max(1, end));
}
