import { expect, test } from "bun:test";
import { localContext } from "./local-context.ts";
import { SyncedTrees } from "./synced-trees.ts";

test("a sync that is broken off makes the next build look again, though nothing more has changed then", async () => {
	let looked = 0;
	let breaks = false;
	const reception = { entry: () => false, content: () => {}, complete: () => false, [Symbol.dispose]: () => {} };
	const files = {
		syncedTree: () => ({ receive: () => reception }),
		read: () => undefined,
		find: async () => [{ path: "f", hash: String(++looked), isDirectory: false }],
		discard: async () => {},
	};
	const trees = new SyncedTrees(files as never, "/nowhere");
	const step = { cached: () => {}, log: async () => {}, status: () => {}, end: () => {} };
	const client = {
		sync: async ({ follow }: { follow: readonly string[] }) => {
			if (breaks && follow.length === 0) throw new Error("the client has left");
		},
	};
	const build = async () => {
		await using cleanup = new AsyncDisposableStack();
		const buildKit = { client, progress: { begin: () => step, warn: () => {} }, sharedKey: "k" } as never;
		const { signal } = new AbortController();
		const context = await localContext({ files: files as never, trees, buildKit, signal, cleanup }, "context", "");
		return (await context.find("f"))[0]?.hash;
	};
	expect([await build(), await build()]).toEqual(["1", "1"]);
	breaks = true;
	await expect(build()).rejects.toThrow("the client has left");
	breaks = false;
	expect(await build()).toBe("2");
});
