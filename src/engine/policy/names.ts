import { createHash } from "node:crypto";
import { parseIp } from "../../shared/ip.ts";
import { isWithin } from "./ranges.ts";

/** Bounds of how long an answered address is allowed, s: clients connect a little after they asked, and keep what they were told. */
export interface LifetimeBounds {
	readonly min: number;
	readonly max: number;
}

export const LIFETIME: LifetimeBounds = { min: 30, max: 86_400 };

export function lifetimeOf(ttl: number, { min, max }: LifetimeBounds): number {
	return Math.min(max, Math.max(min, ttl));
}

/** Whether a name (lower case, no dot at its end) is meant: `*.example.org` is every name below example.org, itself not. */
export function isNamed(name: string, pattern: string): boolean {
	if (pattern === "*") return true;
	return pattern.startsWith("*.")
		? name.endsWith(pattern.slice(1)) && name.length > pattern.length - 1
		: name === pattern;
}

/** The set in the kernel that holds what was answered for a pattern: by its text, so that it outlives changes of the policy around it. */
export function nameSet(pattern: string): string {
	return `name.${createHash("sha256").update(pattern).digest("hex").slice(0, 12)}`;
}

/** No other machine: this one, whatever it is, many at once; of IPv6 also addresses of IPv4 in disguise. */
const NOWHERE = ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/127", "::ffff:0:0/96", "ff00::/8"];
/** The wire itself, where clouds keep their machines' credentials. */
const LINK_LOCAL = ["169.254.0.0/16", "fe80::/10"];

/**
 * Whether an answer may let an address through. Who answers for a name says which address it is (DNS rebinding): never one that is no machine elsewhere,
 * and of the link's own only for a name that a rule has written out.
 */
export function isLearnable(address: string, pattern: string): boolean {
	const parsed = parseIp(address);
	if (parsed === undefined) return false;
	const within = (ranges: readonly string[]) => ranges.some((range) => isWithin(parsed, range, []));
	return !within(NOWHERE) && !(pattern.startsWith("*") && within(LINK_LOCAL));
}
