import { createHash } from "node:crypto";

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
