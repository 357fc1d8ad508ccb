import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { sealedCopy } from "./memfd.ts";

test("a sealed copy is the file, and nobody changes it, root neither", () => {
	const fd = sealedCopy(import.meta.path);
	const path = `/proc/self/fd/${fd}`;
	expect(readFileSync(path, "utf8")).toBe(readFileSync(import.meta.path, "utf8"));
	expect(() => writeSync(fd, "x")).toThrow("EPERM");
	const again = openSync(path, "r+");
	expect(() => writeSync(again, "x")).toThrow("EPERM");
	for (const size of [0, 1 << 20]) expect(() => truncateSync(path, size)).toThrow("EPERM");
	for (const one of [fd, again]) closeSync(one);
});
