import type { BuildCacheEntry } from "../../engine/build/contract.ts";
import { EngineError } from "../../shared/errors.ts";

/** docker's BuildCache. */
export function buildCacheView(entry: BuildCacheEntry) {
	return {
		ID: entry.id,
		Type: entry.type,
		Description: entry.description,
		InUse: entry.inUse,
		Shared: false,
		Size: entry.size,
		CreatedAt: entry.created,
		LastUsedAt: entry.lastUsed,
		UsageCount: entry.usageCount,
	};
}

/** Whether one of BuildKit's filters holds: `type==regular`, `id~=^abc`, `description!=x`, or a bare `inuse`, `shared`, `private`. */
export function cacheFilterHolds(entry: BuildCacheEntry, filter: string): boolean {
	const [, name = "", sign = "", value = ""] = /^(\w+)(==|!=|~=)?([\s\S]*)$/.exec(filter) ?? [];
	const fields: Readonly<Record<string, string>> = {
		id: entry.id,
		type: entry.type,
		description: entry.description,
		inuse: entry.inUse ? "true" : "",
		mutable: "true",
		private: "true",
	};
	const is = fields[name.toLowerCase()] ?? "";
	if (sign === "") return is !== "";
	if (sign === "~=") return matches(value, is);
	return (is === value) === (sign === "==");
}

function matches(pattern: string, text: string): boolean {
	// Repetitions of repetitions, and many of them, take for ever.
	const repetitions = pattern.match(/[*+?{]/g) ?? [];
	if (repetitions.length > 2 || /\)[*+?{]/.test(pattern)) {
		throw new EngineError(
			"invalid",
			`filter ~=${pattern} is not supported: at most two of * + ? {, and none behind a group`,
		);
	}
	try {
		return new RegExp(pattern).test(text.slice(0, 1000));
	} catch {
		return false;
	}
}
