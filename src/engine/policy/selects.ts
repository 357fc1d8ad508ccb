import { type Action, PROJECT_LABEL, type Selector, type Subject } from "./policy.ts";

export function selects(selector: Selector, subject: Subject): boolean {
	const { all, names, labels = {}, networks, projects } = selector;
	const wanted = Object.entries(labels);
	if (!all && !names && !networks && !projects && wanted.length === 0) return false;
	return (
		matchesAny(names, [subject.name]) &&
		matchesAny(
			networks,
			[...subject.endpoints, ...(subject.elsewhere ?? [])].map(({ network }) => network),
		) &&
		matchesAny(projects, [subject.labels[PROJECT_LABEL]]) &&
		wanted.every(([key, pattern]) => matchesAny([pattern], [subject.labels[key]]))
	);
}

/**
 * Of a peer: the addresses that rules mean, those on the networks named alone where networks are named. What is not on our bridges can be denied, not
 * allowed: anybody out there may have the address.
 */
export function addressesOf(selector: Selector, subject: Subject, action: Action): string[] {
	if (!selects(selector, subject)) return [];
	const { endpoints, elsewhere = [] } = subject;
	return [...endpoints, ...(action === "deny" ? elsewhere : [])]
		.filter(({ network }) => matchesAny(selector.networks, [network]))
		.flatMap(({ addresses }) => addresses);
}

function matchesAny(patterns: readonly string[] | undefined, texts: readonly (string | undefined)[]): boolean {
	return patterns?.some((pattern) => texts.some((text) => text !== undefined && isLike(text, pattern))) ?? true;
}

/** `web-*` is like `web-1`; `*` stands for any text. */
function isLike(text: string, pattern: string): boolean {
	if (!pattern.includes("*")) return text === pattern;
	const [head = "", ...rest] = pattern.split("*");
	const tail = rest.pop() ?? "";
	if (!text.startsWith(head) || text.length < head.length + tail.length || !text.endsWith(tail)) return false;
	let at = head.length;
	for (const part of rest) {
		const found = text.indexOf(part, at);
		if (found < 0 || found + part.length > text.length - tail.length) return false;
		at = found + part.length;
	}
	return true;
}
