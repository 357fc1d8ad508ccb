import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockInstance, lockRoot } from "./pidlock.ts";

let root: string;
beforeEach(() => {
	root = mkdtempSync(join(tmpdir(), "foredeck-lock-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const HOLDER = `
	const { lockRoot } = await import(process.argv[1]);
	lockRoot(process.argv[2]);
	process.stdout.write("held\\n");
	setInterval(() => {}, 1000);
`;

test("a second daemon on the same data root is refused with the first one's pid", () => {
	const lock = lockRoot(root);
	expect(() => lockRoot(root)).toThrow(`a daemon (pid ${process.pid}) runs there already`);
	lock.release();
});

test("release lets the next one in and may be repeated", () => {
	const lock = lockRoot(root);
	lock.release();
	lock.release();
	const next = lockRoot(root);
	expect(readFileSync(join(root, "daemon.lock"), "utf8")).toBe(`${process.pid}\n`);
	next.release();
});

test("kill -9 of the holder leaves no stale lock", async () => {
	const module = join(import.meta.dir, "pidlock.ts");
	const holder = Bun.spawn([process.execPath, "-e", HOLDER, module, root], { stdout: "pipe", stderr: "inherit" });
	try {
		const reader = holder.stdout.getReader();
		expect(new TextDecoder().decode((await reader.read()).value)).toBe("held\n");
		expect(() => lockRoot(root)).toThrow(`(pid ${holder.pid})`);
	} finally {
		holder.kill("SIGKILL");
		await holder.exited;
	}
	lockRoot(root).release();
});

test("a missing data root is an error that names the file", () => {
	expect(() => lockRoot(join(root, "missing"))).toThrow("daemon.lock: ENOENT");
});

test("one daemon per instance name; its file goes with it", () => {
	const first = lockInstance("one", root);
	expect(() => lockInstance("one", root)).toThrow("cannot start instance one");
	lockInstance("two", root).release();
	first.release();
	lockInstance("one", root).release();
	expect(readdirSync(root)).toEqual([]);
});
