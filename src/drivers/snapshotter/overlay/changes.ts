import * as fs from "node:fs";
import { getXattr } from "../../../sys/linux/xattr.ts";
import { below, descend, entriesOf, isOpaque, isWhiteout, lookUp, namesIn, type StackedDirectory } from "./tree.ts";

/** Where an active snapshot lies: absolute directories; `lower` topmost first. */
export interface SnapshotDirectories {
	readonly upper: string;
	readonly lower: readonly string[];
}

/** Which files count as changed: all in the writable layer, for a layer; or those that look different, for people. A file of another content may look the same. */
type Files = "all" | "differing";

/** `path` is a byte string that starts with a slash. */
export interface Change {
	readonly path: string;
	readonly kind: "modified" | "added" | "deleted";
	/** In the writable layer; undefined when deleted. */
	readonly at?: { readonly path: Buffer; readonly stat: fs.Stats; readonly opaque: boolean };
}

/**
 * What the writable layer changes, parents before what is in them. As dockerd compares: files by mode, owner, device, size, time and capability,
 * directories without size and time; a directory is modified when something in it is. Leaves out the empty files and directories that the
 * runtime makes to mount on, which docker keeps in a layer of their own.
 */
export function* changesOf(snapshot: SnapshotDirectories, files: Files = "differing"): Generator<Change> {
	const lower: StackedDirectory = { parts: snapshot.lower.map((path) => Buffer.from(path)) };
	yield* within(Buffer.from(snapshot.upper), lower, "", files);
}

function* within(upper: Buffer, lower: StackedDirectory, path: string, files: Files): Generator<Change> {
	const seen = new Set<string>();
	const hides = path !== "" && isOpaque(upper);
	// To a layer an opaque directory is a new one: all that it has counts, and its mark hides the rest.
	const before = hides && files === "all" ? NOTHING : lower;
	for (const name of namesIn(upper)) {
		seen.add(name);
		yield* entry(below(upper, name), before, name, `${path}/${name}`, files);
	}
	if (!hides || files === "all") return;
	for (const hidden of entriesOf(lower)) {
		if (!seen.has(hidden.name)) yield { path: `${path}/${hidden.name}`, kind: "deleted" };
	}
}

const NOTHING: StackedDirectory = { parts: [] };

function* entry(at: Buffer, lower: StackedDirectory, name: string, path: string, files: Files): Generator<Change> {
	const stat = fs.lstatSync(at, { throwIfNoEntry: false });
	if (!stat) return; // gone while we walk
	const before = lookUp(lower, name);
	if (isWhiteout(stat)) {
		if (before) yield { path, kind: "deleted" };
		return;
	}
	const isStub = isMountStub(path, stat) && (!before || !stat.isDirectory());
	const whole = files === "all" && !stat.isDirectory();
	const opaque = stat.isDirectory() && isOpaque(at);
	const changed = !before || whole || (files === "all" && opaque) || differ(before, { path: at, stat });
	const own: Change = { path, kind: before ? "modified" : "added", at: { path: at, stat, opaque } };
	let told = changed && !isStub;
	if (told) yield own;
	for (const inner of inside(at, stat, lower, name, path, files)) {
		if (!told) yield own;
		told = true;
		yield inner;
	}
}

function* inside(
	at: Buffer,
	stat: fs.Stats,
	lower: StackedDirectory,
	name: string,
	path: string,
	files: Files,
): Generator<Change> {
	const old = descend(lower, name);
	if (stat.isDirectory()) yield* within(at, old, path, files);
	else for (const hidden of entriesOf(old)) yield { path: `${path}/${hidden.name}`, kind: "deleted" };
}

interface Found {
	readonly path: Buffer;
	readonly stat: fs.Stats;
}

function differ(a: Found, b: Found): boolean {
	const [x, y] = [a.stat, b.stat];
	if (x.mode !== y.mode || x.uid !== y.uid || x.gid !== y.gid || x.rdev !== y.rdev) return true;
	if (!x.isDirectory() && (x.size !== y.size || x.mtimeMs !== y.mtimeMs)) return true;
	const capability = (found: Found) => Buffer.from(getXattr(found.path, "security.capability") ?? []);
	return x.isFile() && !capability(a).equals(capability(b));
}

/** What dockerd makes in the layer below the container's. Source: moby daemon/initlayer/setup_unix.go. */
const MOUNT_STUBS = new Set([
	...["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/console", "/proc", "/sys", "/.dockerenv"],
	...["/etc", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/etc/mtab"],
]);

function isMountStub(path: string, stat: fs.Stats): boolean {
	return MOUNT_STUBS.has(path) && (stat.isDirectory() || stat.isSymbolicLink() || stat.size === 0);
}
