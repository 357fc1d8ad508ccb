import type { LearnedName } from "../../drivers/firewall/policy-model.ts";
import { isLearnable, isNamed, type LifetimeBounds, lifetimeOf, nameSet } from "./names.ts";
import type { Policy, Rule, Subject } from "./policy.ts";
import { policiesOf } from "./select.ts";

/** An address of an answer, and how long it holds, s. */
export interface AnsweredAddress {
	readonly address: string;
	readonly ttl: number;
}

/** A rule's number, or the direction for the policy's default. */
export interface NameRefusal {
	readonly policy: string;
	readonly rule: number | "egress";
}

/** What policies make of one sandbox's questions for names. */
export interface NameView {
	/** Names that rules have; what is answered for them is learned. */
	readonly patterns: readonly string[];
	/** By what a name may not be asked of others; undefined: it may. */
	refusal(name: string): NameRefusal | undefined;
	/** Whether a rule has this name. */
	has(name: string): boolean;
	learnedOf(name: string, answered: readonly AnsweredAddress[], bounds: LifetimeBounds): LearnedName[];
}

/** undefined: no policy has a say. */
export function nameViewOf(policies: readonly Policy[], subject: Subject): NameView | undefined {
	const own = policiesOf(policies, subject);
	const rules = own.flatMap((policy) => policy.rules.filter(({ direction }) => direction === "egress"));
	const closedBy = own.find((policy) => policy.default.egress === "deny")?.name;
	const patterns = [...new Set(rules.flatMap(namesOf))];
	if (patterns.length === 0 && closedBy === undefined) return undefined;
	const allowing = rules.filter(({ action }) => action === "allow");
	// An address is of use without its name where a rule allows addresses beyond our own sandboxes and the host.
	const allowsAddresses = allowing.some(({ peers }) => peers.length === 0 || peers.some(({ kind }) => kind === "cidr"));
	const allowed = allowing.flatMap(namesOf);
	// What is denied is denied wherever it is.
	const restricted = new Set(rules.filter(({ action }) => action === "deny").flatMap(namesOf));
	const isLearned = (address: string, pattern: string) => restricted.has(pattern) || isLearnable(address, pattern);
	const denied = own.flatMap(deniedNames);
	return {
		patterns,
		refusal(name) {
			const deny = denied.find(({ pattern }) => isNamed(name, pattern));
			if (deny) return { policy: deny.policy, rule: deny.rule };
			if (closedBy === undefined || allowsAddresses) return undefined;
			return allowed.some((pattern) => isNamed(name, pattern)) ? undefined : { policy: closedBy, rule: "egress" };
		},
		has: (name) => patterns.some((pattern) => isNamed(name, pattern)),
		learnedOf(name, answered, bounds) {
			return patterns
				.filter((pattern) => isNamed(name, pattern))
				.flatMap((pattern) =>
					answered
						.filter(({ address }) => isLearned(address, pattern))
						.flatMap(({ address, ttl }) =>
							localsOf(subject, address).map((local) => ({
								set: nameSet(pattern),
								local,
								remote: address,
								seconds: lifetimeOf(ttl, bounds),
							})),
						),
				);
		},
	};
}

/** The sandbox's addresses that can speak to this one: those of its family. */
function localsOf({ endpoints }: Subject, address: string): string[] {
	const own = endpoints.flatMap(({ addresses }) => addresses);
	return own.filter((one) => one.includes(":") === address.includes(":"));
}

/** Names that a rule denies whatever they are asked for. */
function deniedNames({ name, rules }: Policy): { pattern: string; policy: string; rule: number }[] {
	return rules.flatMap((rule, at) =>
		rule.action === "deny" && rule.direction === "egress" && isWhole(rule)
			? namesOf(rule).map((pattern) => ({ pattern, policy: name, rule: at }))
			: [],
	);
}

function namesOf({ peers }: Rule): string[] {
	return peers.flatMap((peer) => (peer.kind === "name" ? [peer.name] : []));
}

/** For every protocol and port. */
function isWhole({ protocols, ports, peers }: Rule): boolean {
	return protocols.length === 0 && ports.length === 0 && !peers.some((peer) => peer.ports);
}
