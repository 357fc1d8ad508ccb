import { addressType, FAMILIES, type Family, familyOf, ipField, ofFamily, setOfFamily } from "./address-family.ts";
import { back, dropChain, isOfTcp, matches } from "./policy-matches.ts";
import type {
	Direction,
	LearnedName,
	PolicedSandbox,
	PolicyGroup,
	PolicyModel,
	PolicyRules,
	RuleMatch,
} from "./policy-model.ts";
import { isSameRules } from "./policy-versions.ts";
import { tableOf } from "./ruleset.ts";
import { elementChange, setText } from "./set-text.ts";

/** What a new table takes over from the one before. */
export interface Carried {
	/** Packets and bytes by counter name. */
	readonly counters: ReadonlyMap<string, { readonly packets: number; readonly bytes: number }>;
	readonly names: readonly LearnedName[];
}

const DIRECTIONS = ["egress", "ingress"] as const;
const NOTHING_CARRIED: Carried = { counters: new Map(), names: [] };

/**
 * The policies' part of the table, to follow `renderRuleset` in its transaction. A sandbox's packets are looked up by its address, of either family:
 * those of others pass a map. Policies stand before the other rules (lower priority) and can only take away: what they accept goes on to those.
 *
 * - group: deny rules of all its policies, then allow rules of all, then the default. What is established passes before.
 * - back: a TCP segment that opens nothing and belongs to no known connection is of one that was forgotten, by `endFlows` because it is denied now, or
 *   never seen, as inside a bridge before its first policy. Who began it cannot be told, so the flow must be allowed from either end.
 * - input, output: the same for what goes to and comes from the machine itself. Output is not asked for its interface: what has just been sent to a
 *   published port still bears the one from before.
 * - neighbour discovery passes: it says nothing beyond the link (what was routed has another hop limit), and the bridge's table (bridge-table.ts) sees to who says it.
 */
export function renderPolicies(instance: string, model: PolicyModel, carried: Carried): string {
	if (model.policies.length === 0) return "";
	const groups = model.groups.map((group) => groupChains(group, model.policies));
	return `table ${tableOf(instance)} {
${model.policies.map((policy) => countersOf(policy, carried)).join("")}${setsOf(model, carried)}${model.policies
	.map((policy) => chainsOf(policy, instance))
	.join("")}${groups.join("")}${hooks()}}
`;
}

/**
 * Commands that lead from what stands to what shall, in one transaction as long as what has changed; undefined where the table must be written whole. A
 * policy that changes is another one, by another name: see policy-versions.ts.
 */
export function renderPolicyChange(instance: string, before: PolicyModel, after: PolicyModel): string | undefined {
	if (before.policies.length === 0) return renderPolicies(instance, after, NOTHING_CARRIED);
	const [comes, goes] = [differenceOf(after, before), differenceOf(before, after)];
	if (after.policies.length === 0 || !comes || !goes) return undefined;
	const table = tableOf(instance);
	const added = [
		...comes.policies.map((policy) => countersOf(policy, NOTHING_CARRIED)),
		...FAMILIES.flatMap((family) => [...peerTexts(comes.peers, family), ...nameTexts(comes.names, [], family)]),
		...comes.policies.map((policy) => chainsOf(policy, instance)),
		...comes.groups.map((group) => groupChains(group, after.policies)),
	].join("");
	const inet = [...changedSets(before, after)].map(([set, old, next]) => elementChange(table, set, old, next));
	const removed = [
		...goes.groups.flatMap(({ name }) => [`chain ${table} ${name}`, `chain ${table} ${back(name)}`]),
		...goes.policies.flatMap((policy) => chainNames(policy).map((name) => `chain ${table} ${name}`)),
		...[...goes.peers.keys(), ...goes.names].flatMap((set) =>
			FAMILIES.map((family) => `set ${table} ${setOfFamily(set, family)}`),
		),
		...goes.policies.flatMap((policy) => counterNames(policy).map((name) => `counter ${table} ${name}`)),
	].map((what) => `delete ${what}\n`);
	return (added === "" ? "" : `table ${table} {\n${added}}\n`) + inet.join("") + removed.join("");
}

/** What one has and the other has not; undefined where both have a policy of one name that is not the same. */
function differenceOf(one: PolicyModel, other: PolicyModel) {
	const known = new Map(other.policies.map((policy) => [policy.name, policy]));
	const groups = new Set(other.groups.map(({ name }) => name));
	const isOther = (policy: PolicyRules) => !isSameRules(policy, known.get(policy.name) ?? policy);
	if (one.policies !== other.policies && one.policies.some(isOther)) return undefined;
	const names = new Set(nameSets(other));
	return {
		policies: one.policies.filter(({ name }) => !known.has(name)),
		groups: one.groups.filter(({ name }) => !groups.has(name)),
		peers: new Map([...one.peers].filter(([set]) => !other.peers.has(set))),
		names: nameSets(one).filter((set) => !names.has(set)),
	};
}

/** Commands that add these addresses, or set their time anew. Older kernels keep the first time of an element that is there: it goes before. */
export function renderLearned(instance: string, names: readonly LearnedName[]): string {
	return names.map((name) => renderForgotten(instance, [name]) + addName(instance, name)).join("");
}

/** Commands that take these addresses out, there or not. */
export function renderForgotten(instance: string, names: readonly LearnedName[]): string {
	const table = tableOf(instance);
	return names
		.map((name) => {
			const element = `${table} ${learnedSet(name)} { ${pair(name)} }`;
			return `add element ${element}\ndelete element ${element}\n`;
		})
		.join("");
}

function addName(instance: string, name: LearnedName): string {
	return `add element ${tableOf(instance)} ${learnedSet(name)} { ${nameElement(name)} }\n`;
}

const learnedSet = ({ set, local }: LearnedName): string => setOfFamily(set, familyOf(local));
const pair = ({ local, remote }: LearnedName): string => `${local} . ${remote}`;
const nameElement = (name: LearnedName): string => `${pair(name)} timeout ${Math.max(1, Math.ceil(name.seconds))}s`;

/** `rule.web.0`, `default.web.egress` */
export function counterName(policy: string, rule: number | Direction): string {
	return typeof rule === "number" ? `rule.${policy}.${rule}` : `default.${policy}.${rule}`;
}

function counterNames({ name, rules, denies }: PolicyRules): string[] {
	return [...rules.map(({ index }) => index), ...denies].map((rule) => counterName(name, rule));
}

function countersOf(policy: PolicyRules, { counters }: Carried): string {
	return counterNames(policy)
		.map((counter) => {
			const { packets, bytes } = counters.get(counter) ?? { packets: 0, bytes: 0 };
			return `\tcounter ${counter} {\n\t\tpackets ${packets} bytes ${bytes}\n\t}\n`;
		})
		.join("");
}

function setsOf(model: PolicyModel, { names }: Carried): string {
	return FAMILIES.flatMap((family) => {
		const maps = [...verdicts(model.sandboxes)].map(([name, elements]) =>
			setText("map", setOfFamily(name, family), `type ${addressType(family)} : verdict`, ofFamily(elements, family)),
		);
		return [...peerTexts(model.peers, family), ...nameTexts(nameSets(model), names, family), ...maps];
	}).join("");
}

function peerTexts(peers: PolicyModel["peers"], family: Family): string[] {
	return [...peers].map(([name, addresses]) =>
		setText("set", setOfFamily(name, family), `type ${addressType(family)}`, ofFamily(addresses, family)),
	);
}

function nameTexts(sets: readonly string[], names: readonly LearnedName[], family: Family): string[] {
	const type = addressType(family);
	const bySet = Map.groupBy(names, ({ set }) => set);
	return sets.map((set) => {
		const own = (bySet.get(set) ?? []).filter(({ local }) => familyOf(local) === family).map(nameElement);
		return setText("set", setOfFamily(set, family), `type ${type} . ${type}`, own, "timeout");
	});
}

function nameSets({ policies }: PolicyModel): string[] {
	const peers = policies.flatMap(({ rules }) => rules.flatMap((rule) => rule.peers));
	return [...new Set(peers.flatMap((peer) => (peer.kind === "name" ? [peer.set] : [])))];
}

/** By map: which address is sent where. */
function* verdicts(sandboxes: readonly PolicedSandbox[]): Iterable<[string, string[]]> {
	for (const direction of DIRECTIONS) {
		const grouped = sandboxes.flatMap(({ addresses, [direction]: group }) => (group ? [{ addresses, group }] : []));
		yield [
			`policed_${direction}`,
			grouped.flatMap(({ addresses, group }) => addresses.map((one) => `${one} : goto ${group}`)),
		];
		yield [
			`resumed_${direction}`,
			grouped.flatMap(({ addresses, group }) => addresses.map((one) => `${one} : jump ${back(group)}`)),
		];
	}
}

/** Of one policy and direction: a chain of denying rules, one of allowing ones, and one for each way to be denied. */
function chainsOf(policy: PolicyRules, instance: string): string {
	return DIRECTIONS.map((direction) => {
		const { name } = policy;
		const own = policy.rules.filter((rule) => rule.direction === direction);
		const denying = own.filter(({ action }) => action === "deny");
		const allowing = own.filter(({ action }) => action === "allow");
		const dropped = denying.map(({ index }) => dropChain(instance, name, index, direction));
		const fallback = policy.denies.includes(direction) ? dropChain(instance, name, direction, direction) : "";
		const deny = (rules: readonly RuleMatch[], isBack: boolean) =>
			rules.flatMap((rule) => matches(rule, isBack).map((match) => `${match}goto drop.${name}.${rule.index}`));
		const allow = allowing.flatMap((rule) =>
			matches(rule).map((match) => `${match}counter name "${counterName(name, rule.index)}" accept`),
		);
		return [
			...dropped,
			fallback,
			chain(`deny.${name}.${direction}`, deny(denying, false)),
			chain(`allow.${name}.${direction}`, allow),
			chain(back(`deny.${name}.${direction}`), deny(denying.filter(isOfTcp), true)),
		].join("");
	}).join("");
}

/** Of chainsOf, those that others lead to last. */
function chainNames({ name, rules, denies }: PolicyRules): string[] {
	const denying = rules.filter(({ action }) => action === "deny").map(({ index }) => index);
	return [
		...DIRECTIONS.flatMap((direction) => [
			`deny.${name}.${direction}`,
			`allow.${name}.${direction}`,
			back(`deny.${name}.${direction}`),
		]),
		...[...denying, ...denies].map((rule) => `drop.${name}.${rule}`),
	];
}

function groupChains(group: PolicyGroup, policies: readonly PolicyRules[]): string {
	const { name, direction, policies: names, deniedBy } = group;
	const rules = names.flatMap((one) => policies.find((policy) => policy.name === one)?.rules ?? []);
	const allowing = rules.filter((rule) => rule.direction === direction && rule.action === "allow" && isOfTcp(rule));
	const rest = deniedBy && `goto drop.${deniedBy}.${direction}`;
	return (
		chain(name, [
			...names.map((policy) => `jump deny.${policy}.${direction}`),
			...names.map((policy) => `jump allow.${policy}.${direction}`),
			rest ?? "accept",
		]) +
		chain(back(name), [
			...names.map((policy) => `jump ${back(`deny.${policy}.${direction}`)}`),
			...(rest ? [...allowing.flatMap((rule) => matches(rule, true).map((match) => `${match}return`)), rest] : []),
		])
	);
}

function chain(name: string, rules: readonly string[]): string {
	return `\tchain ${name} {\n${rules.map((rule) => `\t\t${rule}\n`).join("")}\t}\n`;
}

function hooks(): string {
	const established = "ct state established,related accept";
	const neighbours = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept";
	const resumed = "tcp flags & (fin | syn | rst | ack) != syn jump resumed";
	const lookUp = (map: string, field: "saddr" | "daddr") =>
		FAMILIES.map((family) => `${ipField(family, field)} vmap @${setOfFamily(map, family)}`);
	const hook = (name: string, where: string, rules: readonly string[]) =>
		chain(name, [`type filter hook ${where}; policy accept;`, ...rules]);
	return [
		chain("resumed", [...lookUp("resumed_egress", "daddr"), ...lookUp("resumed_ingress", "saddr")]),
		hook("policy_egress", "forward priority filter - 20", [
			established,
			neighbours,
			resumed,
			...lookUp("policed_egress", "saddr"),
		]),
		hook("policy_ingress", "forward priority filter - 10", [
			established,
			neighbours,
			...lookUp("policed_ingress", "daddr"),
		]),
		hook("policy_egress_host", "input priority filter - 10", [
			"iifname != @bridges accept",
			established,
			neighbours,
			resumed,
			...lookUp("policed_egress", "saddr"),
		]),
		hook("policy_ingress_host", "output priority filter - 10", [
			established,
			neighbours,
			resumed,
			...lookUp("policed_ingress", "daddr"),
		]),
	].join("");
}

function* changedSets(before: PolicyModel, after: PolicyModel): Iterable<[string, string[], string[]]> {
	const old = new Map(verdicts(before.sandboxes));
	const changed: [string, readonly string[], readonly string[]][] = [];
	for (const [name, is] of after.peers) {
		const was = before.peers.get(name);
		if (was && !isSameList(was, is)) changed.push([name, was, is]);
	}
	for (const [name, is] of verdicts(after.sandboxes)) changed.push([name, old.get(name) ?? [], is]);
	for (const family of FAMILIES) {
		for (const [name, was, is] of changed) {
			yield [setOfFamily(name, family), ofFamily(was, family), ofFamily(is, family)];
		}
	}
}

function isSameList(one: readonly string[], other: readonly string[]): boolean {
	return one === other || (one.length === other.length && one.every((text, at) => text === other[at]));
}
