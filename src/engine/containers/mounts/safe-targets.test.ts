import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AskedMount } from "../mounts.ts";
import { MountedTree } from "./mounted-tree.ts";
import { safeTargets } from "./safe-targets.ts";

const directory = mkdtempSync(join(tmpdir(), "foredeck-targets-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let made = 0;
/** A directory with links by name; a name without a link is a directory. */
function files(links: Record<string, string> = {}): string {
	const root = join(directory, String(made++));
	mkdirSync(root);
	for (const [name, link] of Object.entries(links)) {
		mkdirSync(join(root, name, ".."), { recursive: true });
		if (link === "") mkdirSync(join(root, name), { recursive: true });
		else symlinkSync(link, join(root, name));
	}
	return root;
}

const bind = (source: string, target: string): AskedMount => ({
	type: "bind",
	source,
	target,
	options: [],
	propagation: "",
});
const tmpfs = (target: string): AskedMount => ({ ...bind("tmpfs", target), type: "tmpfs" });

test("ordinary mounts pass, those of the host's /dev, of files of /proc and below links of the image too", () => {
	const root = files({ "dev/null": "/elsewhere", proc: "", sys: "", "var/run": "/run", "run/shm": "/dev/shm" });
	const file = join(directory, "file");
	writeFileSync(file, "");
	const asked = [
		bind(files(), "/data"),
		bind("/dev", "/dev"),
		bind("/dev/null", "/dev/null"),
		bind("/proc", "/proc"),
		bind("/proc/cpuinfo", "/proc/version"),
		bind(file, "/proc/meminfo"),
		bind(files(), "/var/run/x"),
		bind(files(), "/run/shm"),
		tmpfs("/dev/shm"),
		bind(files(), "/sys/fs/bpf"),
	];
	for (const mount of asked) safeTargets(root, [mount]);
	safeTargets(root, asked.slice(4));
});

test("a mount lies where its target leads inside the container, be it there or not", () => {
	const root = files({ lnk: "/not/there", "var/run": "/run", a: "" });
	const volume = files({ b: "../lnk" });
	const asked = [bind("/x", "/a/b/c"), bind(volume, "/a"), tmpfs("/lnk"), bind("/y", "/var/run/../up")];
	expect(safeTargets(root, asked).map(({ target }) => target)).toEqual(["/a", "/not/there", "/not/there/c", "/up"]);
});

test.each(["dev", "proc", "sys"])("a root in which /%s is a link or a file is refused", (name) => {
	const refusal = `error preparing rootfs: /${name} of the container is not a directory`;
	expect(() => safeTargets(files({ [name]: "/tmp" }), [])).toThrow(refusal);
	const root = files();
	writeFileSync(join(root, name), "");
	expect(() => safeTargets(root, [])).toThrow(refusal);
});

test("a volume on /dev needs a real null device: neither a link to a file, nor a file, nor none", () => {
	const root = files();
	const plain = files();
	writeFileSync(join(plain, "null"), "");
	for (const source of [files({ null: "/hostfile" }), files({ null: "/dev/zero" }), plain, files()])
		expect(() => safeTargets(root, [bind(source, "/dev")])).toThrow("container's /dev/null is invalid");
	expect(() => safeTargets(root, [bind(join(plain, "null"), "/dev/null")])).toThrow("/dev/null is invalid");
	expect(() => safeTargets(root, [bind("/dev/zero", "/dev/null")])).toThrow("/dev/null is invalid");
});

test("no link leads a mount to /dev, of the image or of a volume mounted before", () => {
	for (const link of ["dev", "/dev", "../../dev", "/x/../dev/", "other"]) {
		const root = files({ lnk: link, other: "./dev", x: "" });
		expect(() => safeTargets(root, [bind(files(), "/lnk")])).toThrow('rootfs at "/lnk": it leads to /dev');
		expect(() => safeTargets(root, [tmpfs("/lnk")])).toThrow("it leads to /dev");
	}
	const volume = files({ b: "/dev" });
	expect(() => safeTargets(files({ a: "" }), [bind(files(), "/a/b"), bind(volume, "/a")])).toThrow("leads to /dev");
	expect(() => safeTargets(files(), [bind(files({ null: "/f" }), "/dev"), bind("/dev/null", "/x")])).toThrow("invalid");
});

test("nothing covers the kernel's /proc, by its name or by a link", () => {
	const root = files({ lnk: "/proc/sys/../self", self: "proc" });
	for (const target of ["/proc", "/proc/self", "/proc/sys/kernel", "/proc/version", "/lnk/attr", "/self"]) {
		expect(() => safeTargets(root, [bind(files(), target)])).toThrow("cannot be mounted because it is inside /proc");
		expect(() => safeTargets(root, [tmpfs(target)])).toThrow("cannot be mounted because it is inside /proc");
	}
	expect(() => safeTargets(root, [bind("/procedures", "/proc")])).toThrow("inside /proc");
});

test("a tree is walked inside the container, and a loop of links ends", () => {
	const tree = new MountedTree(files({ a: "b", b: "a", up: "../../../etc", "c/d": "/c/e", abs: "/c/d/f" }));
	expect(tree.resolve("/up/hosts")).toBe("/etc/hosts");
	expect(tree.resolve("/abs/../x")).toBe("/c/e/x");
	expect(tree.resolve("/c/./d//g/")).toBe("/c/e/g");
	expect(() => tree.resolve("/a/x")).toThrow("path /a/x: too many levels of symbolic links");
	// What is mounted hides what the image has there.
	tree.place("/c", files({ d: "/mounted" }));
	tree.place("/up", undefined);
	expect([tree.resolve("/c/d/x"), tree.resolve("/up/hosts")]).toEqual(["/mounted/x", "/up/hosts"]);
});
