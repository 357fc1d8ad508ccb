import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildFiles } from "./build-files.ts";
import { type SyncedEntry, SyncedTree } from "./synced-tree.ts";

let directory = "";
let root = "";
let tree: SyncedTree;
beforeEach(() => {
	directory = fs.mkdtempSync(join(tmpdir(), `fd-synced-${process.pid}-`));
	root = join(directory, "tree");
	tree = new SyncedTree(root);
	fs.writeFileSync(join(directory, "secret"), "secret");
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

const DIRECTORY = 0o040755;
const FILE = 0o100644;
const LINK = 0o120777;
const entry = (path: string, mode = FILE, more: Partial<SyncedEntry> = {}): SyncedEntry => ({
	...{ path, mode, uid: 0, gid: 0, size: 1, modified: 1_700_000_000_123_456_789n, linkName: "", xattrs: new Map() },
	...more,
});

/** One sync: what was asked for, and whether anything changed. */
function sync(entries: readonly SyncedEntry[], content: (path: string) => string = () => "x") {
	using reception = tree.receive();
	const asked = entries.filter((one) => reception.entry(one)).map(({ path }) => path);
	for (const path of asked) reception.content(path, Buffer.from(content(path)));
	for (const path of asked.toReversed()) reception.content(path, new Uint8Array(0));
	return { asked, changed: reception.complete() };
}

test("only what has changed is asked for again; what is gone is deleted", () => {
	const all = [entry("d", DIRECTORY), entry("d/a"), entry("d/b"), entry("e"), entry("l", LINK, { linkName: "e" })];
	expect(sync(all)).toEqual({ asked: ["d/a", "d/b", "e"], changed: true });
	expect(sync(all)).toEqual({ asked: [], changed: false });
	const touched = all.map((one) => (one.path === "d/b" ? entry("d/b", FILE, { modified: 5n }) : one));
	expect(sync(touched, () => "new")).toEqual({ asked: ["d/b"], changed: true });
	expect(fs.readFileSync(join(root, "d/b"), "utf8")).toBe("new");
	expect(sync([entry("e"), entry("l", LINK, { linkName: "e" })])).toEqual({ asked: [], changed: true });
	expect(fs.readdirSync(root).sort()).toEqual(["e", "l"]);
	expect(fs.statSync(join(root, "e"), { bigint: true }).mtimeNs).toBe(1_700_000_000_123_456_789n);
});

test("kinds change into each other, hard links follow their file", () => {
	sync([entry("x", DIRECTORY), entry("x/f"), entry("y")]);
	expect(sync([entry("x"), entry("y", DIRECTORY), entry("y/g")]).asked).toEqual(["x", "y/g"]);
	expect([fs.statSync(join(root, "x")).isFile(), fs.readdirSync(join(root, "y"))]).toEqual([true, ["g"]]);
	const linked = [entry("a"), entry("b", FILE, { linkName: "a" })];
	sync(linked);
	expect(fs.statSync(join(root, "a")).ino).toBe(fs.statSync(join(root, "b")).ino);
	sync([entry("a", FILE, { modified: 9n }), entry("b", FILE, { linkName: "a" })], () => "second");
	expect(fs.readFileSync(join(root, "b"), "utf8")).toBe("second");
});

test("a sync that was broken off asks again for what had not come", () => {
	{
		using reception = tree.receive();
		for (const path of ["a", "b"]) reception.entry(entry(path));
		for (const bytes of ["x", ""]) reception.content("a", Buffer.from(bytes));
		reception.content("b", Buffer.from("half"));
		expect(() => reception.complete()).toThrow('"b" has not come');
	}
	expect(sync([entry("a"), entry("b")]).asked).toEqual(["b"]);
	expect(fs.readFileSync(join(root, "b"), "utf8")).toBe("x");
});

test("paths that leave the directory, and entries that are none, are refused", () => {
	const link = entry("out", LINK, { linkName: directory });
	const hostile: SyncedEntry[][] = [
		[entry("../secret")],
		[entry("/etc/passwd")],
		[entry("a/../../secret")],
		[entry("a//b")],
		[entry("")],
		[entry("a\0b")],
		[link, entry("out/secret")],
		[entry("a"), entry("a/b")],
		[entry("a"), entry("a")],
		[entry("dev", 0o020666)],
		[entry("h", FILE, { linkName: "../secret" })],
		[link, entry("h", FILE, { linkName: "out/secret" })],
	];
	for (const entries of hostile) expect(() => sync(entries)).toThrow(/^build context: /);
	expect(fs.readFileSync(join(directory, "secret"), "utf8")).toBe("secret");
	expect(() => {
		using reception = tree.receive();
		reception.content("nobody/asked", Buffer.from("x"));
	}).toThrow("was not asked for");
});

test("a link of an earlier sync does not lead a later one out", () => {
	sync([entry("d", LINK, { linkName: directory }), entry("e", LINK, { linkName: "../secret" })]);
	sync([entry("d", DIRECTORY), entry("d/secret"), entry("e")], () => "planted");
	expect(fs.readFileSync(join(directory, "secret"), "utf8")).toBe("secret");
	expect(fs.readFileSync(join(root, "d/secret"), "utf8")).toBe("planted");
});

test("a tree is listed as it was synced, hard links as such", () => {
	const all = [entry("a"), entry("b", DIRECTORY, { size: 0 }), entry("b/c", FILE, { linkName: "a" })];
	sync(all);
	const listed = [...buildFiles.entries(root)];
	expect(listed).toEqual(all);
});

test("a directory that became a link takes nothing of what the link leads to with it", () => {
	sync([entry("a", DIRECTORY), entry("a/b"), entry("x", DIRECTORY), entry("x/b")]);
	sync([entry("a", LINK, { linkName: "x" }), entry("x", DIRECTORY), entry("x/b")]);
	expect(fs.readdirSync(join(root, "x"))).toEqual(["b"]);
	expect(fs.readlinkSync(join(root, "a"))).toBe("x");
});

test("a sync that was broken off leaves nothing that the next one does not name, and nothing out", () => {
	sync([entry("a", DIRECTORY), entry("a/b"), entry("a/c"), entry("f")]);
	{
		using reception = tree.receive();
		for (const one of [entry("a", LINK, { linkName: "f" }), entry("f", FILE, { modified: 5n })]) reception.entry(one);
	}
	{
		using reception = tree.receive();
		reception.entry(entry("a"));
	}
	expect(sync([entry("a", DIRECTORY), entry("a/b")])).toEqual({ asked: ["a/b"], changed: true });
	expect([fs.readdirSync(root), fs.readdirSync(join(root, "a"))]).toEqual([["a"], ["b"]]);
});
