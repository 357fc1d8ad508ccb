import { parseNano } from "../../shared/time.ts";
import type { CacheMounts, CacheRecord } from "./cache-mounts.ts";
import type { BuildCacheEntry, CachePrune } from "./contract.ts";
import type { BuildFiles } from "./files.ts";
import type { SyncedTrees } from "./synced-trees.ts";

/** What builds keep beside images, with its size, the one used last at the end. */
export async function cacheUsage(
	caches: CacheMounts,
	files: BuildFiles,
	trees?: SyncedTrees,
): Promise<BuildCacheEntry[]> {
	const entries: BuildCacheEntry[] = (await trees?.usage()) ?? [];
	for (const record of caches.list()) {
		entries.push({
			id: record.name,
			type: "exec.cachemount",
			description: record.description,
			created: record.created,
			lastUsed: record.lastUsed,
			usageCount: record.usageCount,
			inUse: caches.isUsed(record),
			size: await files.usage(caches.directoryOf(record)),
		});
	}
	return entries.sort((a, b) => (a.lastUsed < b.lastUsed ? -1 : 1));
}

/** Deletes what is asked for, the one unused longest first, as long as more than `keepBytes` are left. */
export async function pruneCache(
	caches: CacheMounts,
	files: BuildFiles,
	{ accepts, unusedForMs = 0, keepBytes = 0, now = Date.now() }: CachePrune & { readonly now?: number },
	trees?: SyncedTrees,
): Promise<BuildCacheEntry[]> {
	const entries = await cacheUsage(caches, files, trees);
	let left = entries.reduce((sum, { size }) => sum + size, 0);
	const gone = new Map<string, BuildCacheEntry>();
	for (const entry of entries) {
		const lastUsed = Number((parseNano(entry.lastUsed) ?? 0n) / 1_000_000n);
		if (left <= keepBytes && keepBytes > 0) break;
		if (entry.inUse || now - lastUsed < unusedForMs || !accepts(entry)) continue;
		gone.set(entry.id, entry);
		left -= entry.size;
	}
	const pruned = await caches.prune((record: CacheRecord) => gone.has(record.name));
	await trees?.prune(new Set(gone.keys()));
	const stillThere = new Set((await trees?.usage())?.map(({ id }) => id));
	const copies = [...gone.values()].filter(({ id, type }) => type === "source.local" && !stillThere.has(id));
	return [...pruned.flatMap(({ name }) => gone.get(name) ?? []), ...copies];
}
