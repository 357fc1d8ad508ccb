import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { containersSchema, createContainerStore } from "./containers.ts";
import { openDatabase } from "./database.ts";

let directory = "";
let path = "";
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "foredeck-store-"));
	path = join(directory, "state.db");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const record = (id: string, name = id) => ({ id, name });

test("records outlive the file's closing, newest first, found by id, name and prefix", () => {
	const first = openDatabase(path, containersSchema);
	const store = createContainerStore(first);
	for (const id of ["aa1", "aa2", "bb1"]) store.put(record(id));
	store.put(record("aa1", "renamed"));
	first.close();
	const again = openDatabase(path, containersSchema);
	const loaded = createContainerStore(again);
	expect(loaded.list().map(({ id }) => id)).toEqual(["bb1", "aa2", "aa1"]);
	expect([loaded.byName("renamed")?.id, loaded.byName("aa1")]).toEqual(["aa1", undefined]);
	expect([loaded.byPrefix("aa").length, loaded.byPrefix("b").length, loaded.byPrefix("c").length]).toEqual([2, 1, 0]);
	loaded.delete("aa1");
	expect([loaded.get("aa1"), loaded.byName("renamed")]).toEqual([undefined, undefined]);
	again.close();
});

test("show() changes what is read, not what is kept; both count as a revision", () => {
	const database = openDatabase(path, containersSchema);
	const store = createContainerStore<{ id: string; name: string; extra?: number }>(database);
	store.put(record("a"));
	const before = store.revisionOf("a");
	store.show({ ...record("a"), extra: 1 });
	expect(store.get("a")?.extra).toBe(1);
	expect(store.revisionOf("a")).toBeGreaterThan(before);
	expect(createContainerStore<{ id: string; name: string; extra?: number }>(database).get("a")?.extra).toBeUndefined();
	database.close();
});

test("only the owner may read the file; later steps are applied to an older one, each once", () => {
	openDatabase(path, containersSchema).close();
	expect(statSync(path).mode & 0o777).toBe(0o600);
	const next = "CREATE TABLE more (x) STRICT".replace("(x)", "(x TEXT)");
	openDatabase(path, containersSchema, next).close();
	const database = openDatabase(path, containersSchema, next);
	expect(database.query("PRAGMA user_version").get()).toEqual({ user_version: 2 });
	database.close();
});

test("a newer file and a damaged one are refused by name and left alone", () => {
	openDatabase(path, containersSchema, "CREATE TABLE b (x TEXT) STRICT").close();
	expect(() => openDatabase(path, containersSchema)).toThrow(`${path}: it has version 2, this program knows up to 1`);
	writeFileSync(path, "not a database, but long enough to be read as one".repeat(20));
	rmSync(`${path}-wal`, { force: true });
	const before = readFileSync(path, "utf8");
	expect(() => openDatabase(path, containersSchema)).toThrow(`cannot use the state file ${path}`);
	expect(readFileSync(path, "utf8")).toBe(before);
});
