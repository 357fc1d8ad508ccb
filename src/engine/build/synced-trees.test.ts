import { expect, test } from "bun:test";
import { SyncedTrees } from "./synced-trees.ts";

function treesWith(discard: (directory: string) => Promise<void>) {
	return new SyncedTrees({ syncedTree: () => ({}), usage: async () => 0, discard } as never, "/trees");
}

async function used(trees: SyncedTrees, key: string): Promise<string> {
	await using lease = trees.lease(key, "context");
	return lease.directory;
}

test("a directory is kept for its key; two builds at once have one each", async () => {
	const gone: string[] = [];
	const trees = treesWith(async (directory) => void gone.push(directory));
	const first = await used(trees, "a");
	expect(await used(trees, "b")).not.toBe(first);
	{
		await using one = trees.lease("a", "context");
		await using other = trees.lease("a", "context");
		expect([one.directory === first, other.directory === first]).toEqual([true, false]);
	}
	expect(await used(trees, "a")).toBe(first);
	expect(gone).toHaveLength(1);
});

test("a build that comes while its pruned directory is being deleted has another", async () => {
	const deleting = Promise.withResolvers<void>();
	const trees = treesWith(() => deleting.promise);
	const first = await used(trees, "a");
	const [entry] = await trees.usage();
	const pruned = trees.prune(new Set([entry?.id ?? ""]));
	expect(await used(trees, "a")).not.toBe(first);
	deleting.resolve();
	await pruned;
});
