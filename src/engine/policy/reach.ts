import { decisionsOf, type End, endOfSubject, isHeld, type Known } from "./explain.ts";
import type { Direction, Subject } from "./policy.ts";
import { policiesOf } from "./select.ts";

/** What the ends are called that are no sandboxes. */
interface Outside {
	readonly host: string;
	readonly internet: string;
}

/**
 * What policies leave of a way between two ends (ids, or those outside): none where they say nothing of it, `only by db rules[0]`, `not by never rules[1]`,
 * `not over IPv6 on front` where they take a part; undefined where they take all of it.
 */
export function reachOf(known: Known, fromId: string, toId: string, outside: Outside): readonly string[] | undefined {
	const [from, to] = [endOf(known, fromId, outside), endOf(known, toId, outside)];
	if (![from, to].some(({ subject }) => subject && policiesOf(known.policies, subject).length > 0)) return [];
	const limits: string[] = [];
	let open = 0;
	const decisions = decisionsOf(known, from, to, {});
	for (const { action, partly, over } of decisions) {
		if (action === "allow") {
			open++;
			limits.push(...partly.map(({ policy, rule }) => `not by ${policy} rules[${rule}]`));
		} else if (partly.length > 0) {
			open++;
			limits.push(...partly.map(({ policy, rule }) => `only by ${policy} rules[${rule}]`));
		} else if (over) limits.push(`not over ${over}`);
		else if (!(toId === outside.internet && from.subject)) return undefined;
	}
	if (toId !== outside.internet || !from.subject || !isHeld(from.subject)) {
		return decisions.length > 0 && open === 0 ? undefined : [...new Set(limits)];
	}
	return towardsInternet(known, from.subject, decisions[0]?.action !== "deny", limits);
}

/** Rules with addresses and names are of the internet: which of it they mean is theirs to say. */
function towardsInternet(
	{ policies }: Known,
	subject: Subject,
	isOpen: boolean,
	limits: readonly string[],
): readonly string[] | undefined {
	const direction: Direction = "egress";
	const rules = policiesOf(policies, subject).flatMap(({ name, rules: own }) =>
		own.flatMap((rule, at) => {
			const meant = rule.direction === direction && rule.peers.some(({ kind }) => kind === "cidr" || kind === "name");
			return meant ? [{ action: rule.action, text: `${name} rules[${at}]` }] : [];
		}),
	);
	const of = (action: "allow" | "deny") => rules.filter((rule) => rule.action === action).map(({ text }) => text);
	const all = [
		...limits,
		...(isOpen ? of("deny").map((text) => `not by ${text}`) : of("allow").map((text) => `only by ${text}`)),
	];
	return !isOpen && all.length === 0 ? undefined : [...new Set(all)];
}

function endOf({ subjects }: Known, id: string, { host }: Outside): End {
	const subject = subjects.find((one) => one.id === id);
	if (subject) return endOfSubject(subject);
	return { label: id, addresses: [], names: [], ...(id === host && { host: true }) };
}
