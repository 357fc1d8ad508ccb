import { expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missingAncestors, removeEmptyCgroups } from "./cgroup.ts";

test("ancestors that a start will make are found, and go once they are empty, in every hierarchy", () => {
	const root = mkdtempSync(join(tmpdir(), "cgroups-"));
	try {
		const mounts = new Map(["memory", "pids"].map((controller) => [controller, join(root, controller)]));
		for (const mount of mounts.values()) mkdirSync(`${mount}/there`, { recursive: true });
		expect(missingAncestors(mounts, "/there/id")).toEqual([]);
		expect(missingAncestors(mounts, "/id")).toEqual([]);
		const made = missingAncestors(mounts, "/there/a/b/id");
		expect(made).toEqual(["/there/a/b", "/there/a"]);
		for (const mount of mounts.values()) mkdirSync(`${mount}/there/a/b/other`, { recursive: true });
		removeEmptyCgroups(mounts, made);
		for (const mount of mounts.values()) {
			expect(existsSync(`${mount}/there/a/b/other`)).toBe(true);
			rmSync(`${mount}/there/a/b/other`, { recursive: true });
		}
		removeEmptyCgroups(mounts, made);
		for (const mount of mounts.values())
			expect([existsSync(`${mount}/there/a`), existsSync(`${mount}/there`)]).toEqual([false, true]);
	} finally {
		rmSync(root, { recursive: true, force: true });
	}
});
