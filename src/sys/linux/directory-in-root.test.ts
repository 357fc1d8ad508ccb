import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDirectoryInRoot, makeDirectoryInRoot } from "./directory-in-root.ts";

let top = "";
let root = "";

beforeEach(() => {
	top = mkdtempSync(join(tmpdir(), "directory-in-root-"));
	root = join(top, "root");
	mkdirSync(root);
});
afterEach(() => rmSync(top, { recursive: true }));

test("a directory is made with those above it, and one that is there stays", () => {
	makeDirectoryInRoot(root, "/a/b/c");
	writeFileSync(join(root, "a/b/c/file"), "");
	makeDirectoryInRoot(root, "/a/b/c");
	expect(readdirSync(join(root, "a/b/c"))).toEqual(["file"]);
	expect(statSync(join(root, "a/b")).mode & 0o777).toBe(0o755);
	expect([isDirectoryInRoot(root, "/a/b"), isDirectoryInRoot(root, "/a/b/c/file")]).toEqual([true, false]);
});

test("links lead inside the root, and what one names is made", () => {
	for (const [link, target] of [
		["absolute", "/made/absolute"],
		["up", "../../../made/up"],
		["second", "absolute/deep"],
	] as const) {
		symlinkSync(target, join(root, link));
		makeDirectoryInRoot(root, `/${link}/x`);
	}
	expect(readdirSync(join(root, "made")).toSorted()).toEqual(["absolute", "up"]);
	expect(isDirectoryInRoot(root, "/second/x")).toBe(true);
	expect(existsSync(join(root, "made/absolute/deep/x"))).toBe(true);
	expect(readdirSync(top)).toEqual(["root"]);
});

test("what is no directory is refused in docker's words, a circle of links too", () => {
	writeFileSync(join(root, "file"), "");
	expect(() => makeDirectoryInRoot(root, "/file")).toThrow("Cannot mkdir: /file is not a directory");
	expect(() => makeDirectoryInRoot(root, "/file/x")).toThrow("Cannot mkdir: /file/x is not a directory");
	symlinkSync("round", join(root, "round"));
	expect(() => makeDirectoryInRoot(root, "/round/x")).toThrow("ELOOP");
	expect([isDirectoryInRoot(root, "/round"), isDirectoryInRoot(root, "/none")]).toEqual([false, false]);
	expect(readdirSync(root).toSorted()).toEqual(["file", "round"]);
});
