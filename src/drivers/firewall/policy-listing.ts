import type { Direction, LearnedName, RuleCount } from "./policy-model.ts";
import type { Carried } from "./policy-rules.ts";

const SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };

/** What `nft list table` (or `list counters table`) says of the policies' counters and of the addresses learned for names. */
export function parseListing(text: string): Carried {
	const counters = new Map<string, { packets: number; bytes: number }>();
	for (const [, name = "", packets, bytes] of text.matchAll(
		/counter ((?:rule|default)\.\S+) \{\s*packets (\d+) bytes (\d+)/g,
	)) {
		counters.set(name, { packets: Number(packets), bytes: Number(bytes) });
	}
	const names: LearnedName[] = [];
	for (const [, set = "", body = ""] of text.matchAll(/set (name\.\S+) \{([\s\S]*?)\n\t\}/g)) {
		for (const [, local = "", remote = "", left = ""] of body.matchAll(
			/([\da-f.:]+) \. ([\da-f.:]+)(?: timeout \w+)?(?: expires (\w+))?/g,
		)) {
			const seconds = secondsOf(left);
			if (seconds > 0) names.push({ set: set.replace(/\.6$/, ""), local, remote, seconds });
		}
	}
	return { counters, names };
}

/** The counters as policies know them. */
export function countsOf({ counters }: Pick<Carried, "counters">): RuleCount[] {
	return [...counters].map(([name, { packets, bytes }]) => {
		const [kind, policy = "", rule = ""] = name.split(".");
		return { policy, rule: kind === "rule" ? Number(rule) : (rule as Direction), packets, bytes };
	});
}

/** `1h2m3s40ms` */
function secondsOf(text: string): number {
	let seconds = 0;
	for (const [, amount, unit = ""] of text.matchAll(/(\d+)(ms|s|m|h|d)/g)) {
		seconds += Number(amount) * (SECONDS[unit] ?? 0);
	}
	return seconds;
}
