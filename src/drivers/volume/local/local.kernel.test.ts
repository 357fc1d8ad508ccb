import { afterEach, beforeEach, expect, test } from "bun:test";
import {
	chmodSync,
	chownSync,
	existsSync,
	linkSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmSync,
	statSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { unmount } from "../../../sys/linux/mount.ts";
import { mountInfos } from "../../../sys/linux/mount-info.ts";
import { getXattr, setXattr } from "../../../sys/linux/xattr.ts";
import { LocalVolumes } from "./local.ts";

// Needs root: owners, devices, mounts.

let directory: string;
let root: string;
let volumes: LocalVolumes;

beforeEach(() => {
	// Not on a tmpfs, which may lack extended attributes of users.
	directory = mkdtempSync("/var/tmp/foredeck-volumes-");
	root = join(directory, "root");
	mkdirSync(root);
	volumes = new LocalVolumes(join(directory, "volumes"));
});

afterEach(async () => {
	for (const { mountPoint } of mountInfos().reverse()) if (mountPoint.startsWith(`${directory}/`)) unmount(mountPoint);
	await volumes.close();
	rmSync(directory, { recursive: true, force: true });
});

const content = (path: string, more = {}) => ({ root, path, inUse: false, ...more });
const mounts = () => mountInfos().filter(({ mountPoint }) => mountPoint.startsWith(`${directory}/`));

test("a volume is a directory that nobody but root comes to; removed, its data is gone", async () => {
	volumes.create("data");
	expect(statSync(join(directory, "volumes")).mode & 0o777).toBe(0o700);
	expect(statSync(volumes.pathOf("data")).mode & 0o777).toBe(0o755);
	writeFileSync(join(volumes.pathOf("data"), "file"), "x");
	volumes.create("data");
	expect(readFileSync(join(volumes.pathOf("data"), "file"), "utf8")).toBe("x");
	expect(volumes.found()).toEqual(["data"]);
	await volumes.remove("data");
	await volumes.remove("data");
	await volumes.close();
	expect([volumes.found(), readdirSync(join(directory, "volumes/.trash"))]).toEqual([[], []]);
});

test("what a crash left of removals and copies is swept, data is not", async () => {
	volumes.create("data");
	writeFileSync(join(volumes.pathOf("data"), "file"), "x");
	mkdirSync(join(directory, "volumes/.trash/old"));
	mkdirSync(join(directory, "volumes/data/_draft/half"), { recursive: true });
	const next = new LocalVolumes(join(directory, "volumes"));
	await next.close();
	expect(readdirSync(join(directory, "volumes/.trash"))).toEqual([]);
	expect(readdirSync(join(directory, "volumes/data"))).toEqual(["_data"]);
	expect(readdirSync(next.pathOf("data"))).toEqual(["file"]);
});

test("content is copied with owners, modes, times, links, devices and attributes, the directory's own too", async () => {
	const source = join(root, "data");
	mkdirSync(join(source, "sub"), { recursive: true });
	writeFileSync(join(source, "sub/file"), "x");
	linkSync(join(source, "sub/file"), join(source, "hard"));
	symlinkSync("/etc/passwd", join(source, "link"));
	Bun.spawnSync(["mknod", join(source, "null"), "c", "1", "3"]);
	setXattr(join(source, "sub/file"), "user.note", Buffer.from("kept"));
	chownSync(join(source, "sub/file"), 70, 71);
	chmodSync(join(source, "sub/file"), 0o4640);
	utimesSync(join(source, "sub/file"), 1000, 1000);
	chownSync(source, 999, 998);
	chmodSync(source, 0o1770);
	volumes.create("data");
	expect(await volumes.populate("data", content("/data"))).toBe("copied");
	const data = volumes.pathOf("data");
	const own = statSync(data);
	expect([own.uid, own.gid, own.mode & 0o7777]).toEqual([999, 998, 0o1770]);
	const file = statSync(join(data, "sub/file"));
	expect([file.uid, file.gid, file.mode & 0o7777, file.mtimeMs, file.nlink]).toEqual([70, 71, 0o4640, 1_000_000, 2]);
	expect(readlinkSync(join(data, "link"))).toBe("/etc/passwd");
	expect(lstatSync(join(data, "null")).isCharacterDevice()).toBe(true);
	expect(Buffer.from(getXattr(join(data, "sub/file"), "user.note") ?? []).toString()).toBe("kept");
	expect(readdirSync(join(directory, "volumes/data"))).toEqual(["_data"]);
});

test("a volume with content is kept as it is; nothing is copied from an absent path or a file", async () => {
	mkdirSync(join(root, "data"));
	writeFileSync(join(root, "data/image"), "x");
	writeFileSync(join(root, "file"), "x");
	volumes.create("full");
	writeFileSync(join(volumes.pathOf("full"), "mine"), "x");
	expect(await volumes.populate("full", content("/data"))).toBe("kept");
	expect(readdirSync(volumes.pathOf("full"))).toEqual(["mine"]);
	volumes.create("empty");
	expect(await volumes.populate("empty", content("/absent"))).toBe("absent");
	expect(await volumes.populate("empty", content("/file"))).toBe("file");
	expect(volumes.isEmpty("empty")).toBe(true);
});

test("links of a hostile image stay inside it: absolute ones, those that climb, and loops", async () => {
	mkdirSync(join(directory, "secret"));
	writeFileSync(join(directory, "secret/key"), "x");
	symlinkSync(join(directory, "secret"), join(root, "absolute"));
	symlinkSync("../../../../../../../..".concat(directory, "/secret"), join(root, "climbing"));
	symlinkSync("loop", join(root, "loop"));
	mkdirSync(join(root, "a"));
	symlinkSync(join(directory, "secret"), join(root, "a/parent"));
	symlinkSync("/proc/self/root", join(root, "magic"));
	for (const path of ["/absolute", "/climbing", "/loop", "/a/parent/..", "/a/parent", "/magic/etc", "/../secret"]) {
		volumes.create("v1");
		expect(await volumes.populate("v1", content(path)), path).toBe("absent");
		expect(readdirSync(volumes.pathOf("v1")), path).toEqual([]);
	}
	mkdirSync(join(root, directory, "secret"), { recursive: true });
	writeFileSync(join(root, directory, "secret/harmless"), "x");
	expect(await volumes.populate("v1", content("/absolute"))).toBe("copied");
	expect(readdirSync(volumes.pathOf("v1"))).toEqual(["harmless"]);
});

test("files that are to be there are made empty, and a link in their place is not followed", async () => {
	mkdirSync(join(root, "etc"));
	symlinkSync(join(directory, "made"), join(root, "etc/hosts"));
	writeFileSync(join(root, "etc/hostname"), "image");
	volumes.create("etc");
	await volumes.populate("etc", content("/etc", { files: ["hosts", "hostname", "resolv.conf"] }));
	expect(readFileSync(join(volumes.pathOf("etc"), "hostname"), "utf8")).toBe("image");
	expect(readFileSync(join(volumes.pathOf("etc"), "resolv.conf"), "utf8")).toBe("");
	expect(existsSync(join(directory, "made"))).toBe(false);
});

test("a part of the volume is filled where it is there and empty; one that leads out is left alone", async () => {
	mkdirSync(join(root, "data"));
	writeFileSync(join(root, "data/image"), "x");
	mkdirSync(join(directory, "secret"));
	volumes.create("data");
	mkdirSync(join(volumes.pathOf("data"), "part"));
	symlinkSync(join(directory, "secret"), join(volumes.pathOf("data"), "out"));
	expect(await volumes.populate("data", content("/data", { subpath: "part" }))).toBe("copied");
	expect(await volumes.populate("data", content("/data", { subpath: "absent" }))).toBe("kept");
	expect(await volumes.populate("data", content("/data", { subpath: "out" }))).toBe("kept");
	expect(readdirSync(join(volumes.pathOf("data"), "part"))).toEqual(["image"]);
	expect(readdirSync(join(directory, "secret"))).toEqual([]);
});

test("a volume that running containers have is filled in place: they see the content", async () => {
	mkdirSync(join(root, "data"));
	writeFileSync(join(root, "data/image"), "x");
	volumes.create("data");
	const before = statSync(volumes.pathOf("data")).ino;
	await volumes.populate("data", content("/data", { inUse: true }));
	expect(statSync(volumes.pathOf("data")).ino).toBe(before);
	expect(readdirSync(volumes.pathOf("data"))).toEqual(["image"]);
});

test("tmpfs and bind options are mounted once and unmounted", async () => {
	volumes.create("ram");
	const ram = { type: "tmpfs", device: "tmpfs", o: "size=1m,uid=7,noexec" };
	await volumes.mount("ram", ram);
	await volumes.mount("ram", ram);
	expect([volumes.isMounted("ram"), statSync(volumes.pathOf("ram")).uid, mounts().length]).toEqual([true, 7, 1]);
	mkdirSync(join(directory, "host"));
	writeFileSync(join(directory, "host/file"), "x");
	volumes.create("bound");
	await volumes.mount("bound", { type: "none", o: "bind", device: join(directory, "host") });
	expect([volumes.isMounted("bound"), readdirSync(volumes.pathOf("bound"))]).toEqual([true, ["file"]]);
	// Removing the volume leaves what was mounted on it.
	await volumes.remove("bound");
	await volumes.close();
	expect(readdirSync(join(directory, "host"))).toEqual(["file"]);
	volumes.unmount("ram");
	expect([volumes.isMounted("ram"), mounts()]).toEqual([false, []]);
});

test("what cannot be mounted is told in docker's words", async () => {
	volumes.create("bad");
	const path = volumes.pathOf("bad");
	const text = (options: Record<string, string>) => volumes.mount("bad", options).catch((error) => error.message);
	expect(await text({ type: "none", o: "bind", device: "/no/such" })).toBe(
		`error while mounting volume '${path}': failed to mount local volume: mount /no/such:${path}, flags: 0x1000: no such file or directory`,
	);
	expect(await text({ type: "tmpfs", device: "tmpfs", o: "bogus=1" })).toBe(
		`error while mounting volume '${path}': failed to mount local volume: mount tmpfs:${path}, data: bogus=1: invalid argument`,
	);
	expect(await text({ type: "tmpfs", device: "tmpfs", o: "username=me,password=secret" })).toContain(
		"data: username=me,password=********: invalid argument",
	);
	expect(await text({ type: "nosuchfs", device: "none", o: "ro" })).toContain(`mount none:${path}, flags: 0x1: `);
	expect(await text({ type: "nfs", device: ":/x", o: "addr=no.such.invalid" })).toContain(
		"lookup no.such.invalid: no such host",
	);
	expect(mounts()).toEqual([]);
});

test("usage() counts bytes of files, hard links once", async () => {
	volumes.create("data");
	mkdirSync(join(volumes.pathOf("data"), "sub"));
	writeFileSync(join(volumes.pathOf("data"), "sub/a"), "12345");
	linkSync(join(volumes.pathOf("data"), "sub/a"), join(volumes.pathOf("data"), "b"));
	writeFileSync(join(volumes.pathOf("data"), "c"), "12");
	expect(await volumes.usage("data")).toBe(7);
	expect(await volumes.usage("absent")).toBe(0);
});
