import { expect, test } from "bun:test";
import { Elysia } from "elysia";
import { buildPruneRoutes } from "./prune.ts";

async function prune(query: string): Promise<unknown> {
	const routes = new Elysia().onError(({ error }) => Response.json((error as Error).message)).use(buildPruneRoutes());
	return (await routes.fetch(new Request(`http://localhost/build/prune?${query}`, { method: "POST" }))).json();
}

test("there is no build cache to prune", async () => {
	expect(await prune("all=1&keep-storage=5&filters=%7B%22until%22:[%2224h%22]%7D")).toEqual({
		CachesDeleted: null,
		SpaceReclaimed: 0,
	});
});

test("wrong sizes and unknown filters are refused all the same", async () => {
	expect(await prune("max-used-space=abc")).toMatch(/^max-used-space is in bytes and expects an integer, got abc/);
	expect(await prune("filters=%7B%22nope%22:[%22x%22]%7D")).toBe("invalid filter 'nope'");
});
