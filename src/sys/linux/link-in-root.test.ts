import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { linkInRoot } from "./link-in-root.ts";

let top = "";
let root = "";

beforeEach(() => {
	top = mkdtempSync(join(tmpdir(), "link-in-root-"));
	root = join(top, "root");
	mkdirSync(root);
});
afterEach(() => rmSync(top, { recursive: true }));

test("a link is made where there is nothing", () => {
	mkdirSync(join(root, "etc"));
	linkInRoot(root, "/etc/mtab", "/proc/mounts");
	linkInRoot(root, "/etc/mtab", "/other");
	expect(readlinkSync(join(root, "etc/mtab"))).toBe("/proc/mounts");
});

test("what is there stays, and no directory is made", () => {
	linkInRoot(root, "/etc/mtab", "/proc/mounts");
	writeFileSync(join(root, "etc"), "a file");
	linkInRoot(root, "/etc/mtab", "/proc/mounts");
	expect(readdirSync(root)).toEqual(["etc"]);
});

test("a directory that leads out of the root leads nowhere", () => {
	mkdirSync(join(top, "outside"));
	symlinkSync("../outside", join(root, "etc"));
	linkInRoot(root, "/etc/mtab", "/proc/mounts");
	symlinkSync(join(top, "outside"), join(root, "absolute"));
	linkInRoot(root, "/absolute/mtab", "/proc/mounts");
	expect(readdirSync(join(top, "outside"))).toEqual([]);
});
