import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { availableCapabilities } from "./capability-set.ts";
import { readInRoot } from "./read-in-root.ts";

let outer = "";
let root = "";
beforeAll(() => {
	outer = mkdtempSync(join(tmpdir(), "foredeck-read-"));
	root = join(outer, "root");
	mkdirSync(join(root, "etc"), { recursive: true });
	writeFileSync(join(outer, "secret"), "host");
	writeFileSync(join(root, "etc/passwd"), "inside");
	symlinkSync("/etc/passwd", join(root, "absolute"));
	symlinkSync("../../../secret", join(root, "etc/up"));
	symlinkSync(join(outer, "secret"), join(root, "out"));
	symlinkSync("loop", join(root, "loop"));
});
afterAll(() => rmSync(outer, { recursive: true, force: true }));

test("links are resolved as if the root were /", () => {
	expect(readInRoot(root, "/etc/passwd")).toBe("inside");
	expect(readInRoot(root, "/absolute")).toBe("inside");
});

test.each(["/out", "/etc/up", "/../secret", "/loop", "/etc", "/none", "/etc/passwd/x"])("%s gives nothing", (path) => {
	expect(readInRoot(root, path)).toBeUndefined();
});

test("availableCapabilities() reads the bounding set", () => {
	expect(availableCapabilities("CapEff:\t00\nCapBnd:\t0000000000000023\n")).toEqual([0, 1, 5]);
});
