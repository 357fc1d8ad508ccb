import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RotatingFile } from "./rotating-file.ts";

const LINE = Buffer.from(`${"x".repeat(99)}\n`);
const BLOCK = Buffer.concat(Array.from({ length: 500 }, () => LINE));
let root: string;

beforeEach(() => {
	root = mkdtempSync(join(tmpdir(), "foredeck-full-"));
	// A file system of a quarter of a megabyte.
	expect(Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", root]).exitCode).toBe(0);
});
afterEach(() => {
	Bun.spawnSync(["umount", "-l", root]);
	rmSync(root, { recursive: true, force: true });
});

for (const [way, parts] of [
	["at once", 1],
	["by a thread", 30],
] as const) {
	test(`written ${way}, what a full disk cannot take is lost, entries stay whole, and it goes on when there is room`, async () => {
		const path = join(root, "log");
		const failures: unknown[] = [];
		const file = new RotatingFile({ path, maxSize: 0, maxFiles: 1, onLost: (error) => failures.push(error) });
		const block = Buffer.concat(Array.from({ length: parts }, () => BLOCK));
		for (let written = 0; written < 30; written += parts) await file.append(block);
		expect(String(failures)).toContain("ENOSPC");
		expect(failures).toHaveLength(1);
		expect(readFileSync(path).length % LINE.length).toBe(0);
		rmSync(path);
		writeFileSync(path, "");
		await file.append(LINE);
		await file.close();
		expect(failures).toHaveLength(1);
	});
}

test("a rotation that fails loses nothing: the old file goes on", async () => {
	const path = join(root, "gone/log");
	mkdirSync(join(root, "gone"));
	const failures: unknown[] = [];
	const file = new RotatingFile({ path, maxSize: 200, maxFiles: 2, onLost: (error) => failures.push(error) });
	rmSync(join(root, "gone"), { recursive: true });
	for (let i = 0; i < 3; i++) await file.append(LINE);
	expect(String(failures)).toContain("ENOENT");
	mkdirSync(join(root, "gone"));
	for (let i = 0; i < 3; i++) await file.append(LINE);
	await file.close();
	expect(existsSync(path)).toBe(true);
});
