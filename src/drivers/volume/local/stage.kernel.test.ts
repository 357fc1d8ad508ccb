import { afterEach, beforeEach, expect, test } from "bun:test";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { unmount } from "../../../sys/linux/mount.ts";
import { mountInfos } from "../../../sys/linux/mount-info.ts";
import { LocalStage } from "./stage.ts";

// Needs root: mounts.

const ID = "c1";
let directory: string;
let base: string;
let stage: LocalStage;

beforeEach(() => {
	directory = mkdtempSync("/var/tmp/foredeck-stage-");
	base = join(directory, "volume");
	mkdirSync(join(base, "a/b"), { recursive: true });
	writeFileSync(join(base, "a/b/file"), "inside");
	mkdirSync(join(directory, "secret"));
	stage = new LocalStage(join(directory, "stage"));
});

afterEach(() => {
	for (const { mountPoint } of mountInfos().reverse()) if (mountPoint.startsWith(`${directory}/`)) unmount(mountPoint);
	rmSync(directory, { recursive: true, force: true });
});

const mounted = () => mountInfos().filter(({ mountPoint }) => mountPoint.startsWith(`${directory}/`)).length;

test("a part is bound, a directory or a file, and goes with release()", () => {
	expect(readdirSync(stage.subpath(ID, base, "a/b"))).toEqual(["file"]);
	expect(readFileSync(stage.subpath(ID, base, "./a//b/file"), "utf8")).toBe("inside");
	expect(mounted()).toBe(2);
	stage.release(ID);
	stage.release(ID);
	expect([mounted(), existsSync(join(directory, "stage", ID))]).toEqual([0, false]);
	expect(readFileSync(join(base, "a/b/file"), "utf8")).toBe("inside");
});

test("the part stays what it was when a container swaps it for a link afterwards", () => {
	const place = stage.subpath(ID, base, "a");
	renameSync(join(base, "a"), join(base, "old"));
	symlinkSync(join(directory, "secret"), join(base, "a"));
	expect(readdirSync(place)).toEqual(["b"]);
});

test("links inside are followed; those that lead out, and what is not there, are refused in docker's words", () => {
	symlinkSync("a/b", join(base, "good"));
	symlinkSync(join(directory, "secret"), join(base, "absolute"));
	symlinkSync("../secret", join(base, "climbing"));
	symlinkSync("/proc/self/root/etc", join(base, "magic"));
	expect(readdirSync(stage.subpath(ID, base, "good"))).toEqual(["file"]);
	for (const name of ["absolute", "climbing", "magic", "../secret", "a/../../secret"]) {
		expect(() => stage.subpath(ID, base, name), name).toThrow(
			`path concatenation escapes the base directory, base: ${base}, subpath: ${name}`,
		);
	}
	const missing = `cannot access path ${base}/a/x/y: lstat ${base}/a/x: no such file or directory`;
	expect(() => stage.subpath(ID, base, "a/x/y")).toThrow(missing);
	expect(mounted()).toBe(1);
});

test("layers lie over each other, read-only; many fit, and none give an empty directory", () => {
	const layers = Array.from({ length: 60 }, (_, i) =>
		join(directory, `layer-with-a-rather-long-name-to-fill-the-page-${i}`),
	);
	for (const [i, path] of layers.entries()) {
		mkdirSync(path);
		writeFileSync(join(path, "same"), String(i));
		writeFileSync(join(path, `only${i}`), "x");
	}
	const place = stage.layers(ID, layers);
	expect(readFileSync(join(place, "same"), "utf8")).toBe("59");
	expect(readdirSync(place)).toHaveLength(61);
	expect(() => writeFileSync(join(place, "new"), "x")).toThrow("EROFS");
	expect(readdirSync(stage.layers(ID, layers.slice(0, 1))).sort()).toEqual(["only0", "same"]);
	expect(readdirSync(stage.layers(ID, []))).toEqual([]);
	stage.release(ID);
	expect(mounted()).toBe(0);
});

test("sweep() takes away what an earlier daemon left", () => {
	stage.subpath(ID, base, "a");
	stage.subpath("c2", base, "a/b/file");
	new LocalStage(join(directory, "stage")).sweep();
	expect([mounted(), readdirSync(join(directory, "stage"))]).toEqual([0, []]);
});

test("mountOf() names the mount of a path, and this kernel has what the tests of read-only binds rely on", () => {
	expect(stage.mountOf("/proc/self/status").mountPoint).toBe("/proc");
	const place = stage.subpath(ID, base, "a");
	expect(stage.mountOf(join(place, "b")).mountPoint).toBe(place);
	expect(stage.recursiveReadOnly).toBe(true);
});
