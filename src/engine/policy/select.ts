import { type Action, POLICY_LABEL, type Policy, type Selector, type Subject } from "./policy.ts";
import { SelectorIndex } from "./selector-index.ts";
import { addressesOf, selects } from "./selects.ts";

type Labels = Pick<Subject, "labels">;

/** Names of the policies that a container asks for by its label. */
export function labelled({ labels }: Labels): string[] {
	return (labels[POLICY_LABEL] ?? "")
		.split(",")
		.map((name) => name.trim())
		.filter((name) => name !== "");
}

/** Whether a policy is about this sandbox: by its label, or by the policy's selector. */
export function isSubject(policy: Policy, subject: Subject): boolean {
	return labelled(subject).includes(policy.name) || (policy.select !== undefined && selects(policy.select, subject));
}

/** The policies that are about a sandbox, in their order; the same list, the same object. */
export function policiesOf(policies: readonly Policy[], subject: Subject): readonly Policy[] {
	return reachesOf(policies).about(subject);
}

/** Addresses of the sandboxes that rules name, by the set's name: see peerSet. */
export function peerSets(
	policies: readonly Policy[],
	subjects: readonly Subject[],
): ReadonlyMap<string, readonly string[]> {
	return reachesOf(policies).peerSets(subjects);
}

/** Of a rule's peer that means sandboxes. */
export function peerSet(policy: string, rule: number, peer: number): string {
	return `peer.${policy}.${rule}.${peer}`;
}

interface PeerSelector {
	readonly set: string;
	readonly select: Selector;
	readonly action: Action;
}

/** Whom policies are about and whom they name, looked up once for each sandbox. */
class Reaches {
	private readonly names: ReadonlySet<string>;
	private readonly selectors: SelectorIndex<string>;
	private readonly peers: readonly PeerSelector[];
	private readonly peerSelectors: SelectorIndex<PeerSelector>;
	private readonly lists = new Map<string, readonly Policy[]>();
	private readonly own = new WeakMap<Subject, readonly Policy[]>();
	private readonly named = new WeakMap<Subject, readonly (readonly [set: string, addresses: readonly string[]])[]>();

	constructor(private readonly policies: readonly Policy[]) {
		this.names = new Set(policies.map(({ name }) => name));
		this.selectors = new SelectorIndex(policies.flatMap(({ name, select }) => (select ? [[select, name]] : [])));
		this.peers = policies.flatMap(({ name, rules }) =>
			rules.flatMap(({ peers, action }, rule) =>
				peers.flatMap((peer, at) =>
					peer.kind === "sandboxes" ? [{ set: peerSet(name, rule, at), select: peer.select, action }] : [],
				),
			),
		);
		this.peerSelectors = new SelectorIndex(this.peers.map((peer) => [peer.select, peer]));
	}

	about(subject: Subject): readonly Policy[] {
		const known = this.own.get(subject);
		if (known) return known;
		const asked = labelled(subject).filter((name) => this.names.has(name));
		const names = new Set([...asked, ...this.selectors.of(subject)]);
		const key = [...names].toSorted().join(" ");
		const list = this.lists.get(key) ?? this.policies.filter(({ name }) => names.has(name));
		this.lists.set(key, list);
		this.own.set(subject, list);
		return list;
	}

	peerSets(subjects: readonly Subject[]): ReadonlyMap<string, readonly string[]> {
		const sets = new Map<string, string[]>(this.peers.map(({ set }) => [set, []]));
		for (const subject of subjects) {
			for (const [set, addresses] of this.namedBy(subject)) sets.get(set)?.push(...addresses);
		}
		return sets;
	}

	private namedBy(subject: Subject) {
		const known = this.named.get(subject);
		if (known) return known;
		const all = this.peerSelectors
			.of(subject)
			.map(({ set, select, action }) => [set, addressesOf(select, subject, action)] as const);
		this.named.set(subject, all);
		return all;
	}
}

/** By the list of policies: a new list where one has changed. */
const reaches = new WeakMap<readonly Policy[], Reaches>();

function reachesOf(policies: readonly Policy[]): Reaches {
	const known = reaches.get(policies);
	if (known) return known;
	const fresh = new Reaches(policies);
	reaches.set(policies, fresh);
	return fresh;
}
