import { expect, test } from "bun:test";
import { Elysia } from "elysia";
import type { BuildCacheEntry, CachePrune } from "../../engine/build/contract.ts";
import { buildPruneRoutes } from "./prune.ts";

const entry: BuildCacheEntry = {
	id: "abc",
	type: "exec.cachemount",
	description: "cached mount /x",
	created: "2026-01-01T00:00:00Z",
	lastUsed: "2026-01-01T00:00:00Z",
	usageCount: 1,
	inUse: false,
	size: 7,
};

async function prune(query: string, asked: CachePrune[] = []): Promise<unknown> {
	const builds = {
		pruneCache: async (request: CachePrune) => {
			asked.push(request);
			return [entry].filter(request.accepts);
		},
	};
	const routes = new Elysia()
		.onError(({ error }) => Response.json((error as Error).message))
		.use(buildPruneRoutes(builds));
	return (await routes.fetch(new Request(`http://localhost/build/prune?${query}`, { method: "POST" }))).json();
}

const filters = (value: object) => `filters=${encodeURIComponent(JSON.stringify(value))}`;

test("caches go that no filter keeps, and only as many as are asked for", async () => {
	const asked: CachePrune[] = [];
	expect(await prune("all=1", asked)).toEqual({ CachesDeleted: ["abc"], SpaceReclaimed: 7 });
	expect(await prune(`keep-storage=5&${filters({ until: ["24h"] })}`, asked)).toMatchObject({ SpaceReclaimed: 7 });
	expect(asked.map(({ keepBytes }) => keepBytes)).toEqual([0, 5]);
	expect(Math.round((asked[1]?.unusedForMs ?? 0) / 3_600_000)).toBe(24);
	for (const none of [{ type: ["regular"] }, { id: ["^b"] }, { inuse: ["1"] }]) {
		expect(await prune(filters(none))).toEqual({ CachesDeleted: null, SpaceReclaimed: 0 });
	}
	for (const all of [{ type: ["exec.cachemount"] }, { id: ["^ab"] }, { private: ["1"] }]) {
		expect(await prune(filters(all))).toMatchObject({ CachesDeleted: ["abc"] });
	}
});

test("wrong sizes and unknown filters are refused all the same", async () => {
	expect(await prune("max-used-space=abc")).toMatch(/^max-used-space is in bytes and expects an integer, got abc/);
	expect(await prune("filters=%7B%22nope%22:[%22x%22]%7D")).toBe("invalid filter 'nope'");
});
