import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CacheMounts, type Sharing } from "./cache-mounts.ts";

let root = "";
let caches: CacheMounts;
const discard = (path: string) => rm(path, { recursive: true, force: true });
beforeEach(() => {
	root = mkdtempSync(join(tmpdir(), "caches-"));
	caches = new CacheMounts(root, discard);
});
afterEach(() => rmSync(root, { recursive: true }));

const { signal } = new AbortController();
const identity = { id: "a", base: "", mode: 0o750, uid: 0, gid: 0 };
const lease = (sharing: Sharing, more: Partial<typeof identity> = {}, by = signal) =>
	caches.lease({ ...identity, ...more }, sharing, "x", by, async () => {});

test("a cache is kept, also over a start of the daemon, and is another for another identity", async () => {
	const first = await lease("shared");
	writeFileSync(`${first.directory}/f`, "1");
	expect(statSync(first.directory).mode & 0o7777).toBe(0o750);
	first[Symbol.dispose]();
	caches = new CacheMounts(root, discard);
	caches.open();
	using again = await lease("shared");
	expect(existsSync(`${again.directory}/f`)).toBe(true);
	for (const other of [{ id: "b" }, { base: "image" }, { mode: 0o755 }, { uid: 1 }]) {
		if (other.uid !== undefined && process.getuid?.() !== 0) continue;
		using another = await lease("shared", other);
		expect(another.directory).not.toBe(again.directory);
	}
	expect(caches.list().find(({ usageCount }) => usageCount === 2)).toBeDefined();
});

test("shared ones serve several; a private one is another while in use", async () => {
	using one = await lease("shared");
	using two = await lease("shared");
	using own = await lease("private");
	expect([two.directory === one.directory, own.directory === one.directory]).toEqual([true, false]);
});

test("two that come at once share what the first makes", async () => {
	const both = await Promise.all([lease("shared"), lease("shared")]);
	expect(new Set(both.map(({ directory }) => directory)).size).toBe(1);
	for (const one of both) one[Symbol.dispose]();
});

test("a locked one is waited for, until the build is cancelled", async () => {
	const first = await lease("locked");
	let second: string | undefined;
	const waiting = lease("locked").then((found) => {
		second = found.directory;
		return found;
	});
	await Bun.sleep(1);
	expect(second).toBeUndefined();
	const abort = new AbortController();
	const cancelled = lease("locked", {}, abort.signal);
	abort.abort();
	await expect(cancelled).rejects.toThrow();
	first[Symbol.dispose]();
	using found = await waiting;
	expect(found.directory).toBe(first.directory);
});

test("what is in use is not pruned; what a crash left is swept", async () => {
	using used = await lease("shared");
	(await lease("shared", { id: "b" }))[Symbol.dispose]();
	expect((await caches.prune(() => true)).length).toBe(1);
	expect(existsSync(used.directory)).toBe(true);
	mkdirSync(join(root, "half", "data"), { recursive: true });
	caches.open();
	await Bun.sleep(5);
	expect(readdirSync(root).length).toBe(1);
});
