import * as fs from "node:fs";
import { posix } from "node:path";
import { ignoring } from "../../../shared/ignore-file.ts";
import { O_DIRECTORY, O_PATH, openInRoot } from "../../../sys/linux/openat2.ts";
import { getXattr, listXattrs } from "../../../sys/linux/xattr.ts";
import type { LayerEntry } from "../overlay/tar-reader.ts";

/** Something in a tree, as a tar would have it. `name` is a byte string relative to where the walk began; "" for that itself. */
export interface Found {
	readonly entry: LayerEntry;
	/** Where it can be read now. */
	readonly at: Buffer;
	readonly dev: number;
	readonly ino: number;
	readonly links: number;
	/** Time of its last change, nanoseconds. */
	readonly ctimeNs: bigint;
}

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants;

/** Opens a tree's root; the caller closes it. */
export function openRoot(root: string): number {
	return fs.openSync(root, O_PATH | O_DIRECTORY);
}

/**
 * What the path leads to inside the root, links followed, and all below it: parents first, names in order; without what `exclude` leaves out
 * (patterns of an ignore file, relative to the path; of a file its name counts). Throws SyscallError.
 */
export function* walk(root: number, path: string, exclude: readonly string[] = []): Generator<Found> {
	if (exclude.length === 0) return yield* walkAll(root, path);
	const isIgnored = ignoring(exclude);
	const nameOf = ({ entry }: Found) => Buffer.from(entry.name, "latin1").toString();
	for (const found of walkAll(root, path)) {
		const itself = found.entry.name === "";
		const name = itself ? posix.basename(path) : nameOf(found);
		if ((itself && found.entry.type === "directory") || !isIgnored(name)) yield found;
	}
}

function* walkAll(root: number, path: string): Generator<Found> {
	const fd = openInRoot(root, path, O_PATH);
	try {
		const at = Buffer.from(`/proc/self/fd/${fd}`);
		// stat, not lstat: the name in /proc is a link to what is open
		const found = foundAt(at, "", fs.statSync(at, { bigint: true }));
		if (!found) return;
		yield found;
		if (found.entry.type === "directory") yield* below(Buffer.from(`/proc/self/fd/${fd}/.`), "");
	} finally {
		fs.closeSync(fd);
	}
}

/** What the path leads to inside the root, links followed; undefined for what cannot be copied. Throws SyscallError. */
export function statIn(root: number, path: string): Found | undefined {
	const fd = openInRoot(root, path, O_PATH);
	try {
		const at = Buffer.from(`/proc/self/fd/${fd}`);
		return foundAt(at, "", fs.statSync(at, { bigint: true }));
	} finally {
		fs.closeSync(fd);
	}
}

function* below(directory: Buffer, prefix: string): Generator<Found> {
	const names = fs.readdirSync(directory, { encoding: "buffer" }).sort(Buffer.compare);
	for (const name of names) {
		const at = Buffer.concat([directory, SLASH, name]);
		const found = foundAt(at, prefix + name.toString("latin1"), fs.lstatSync(at, { bigint: true }));
		if (!found) continue;
		yield found;
		if (found.entry.type === "directory") yield* below(at, `${found.entry.name}/`);
	}
}

/** The content of a file that a walk found, in chunks that are only valid until the next. */
export function* contentOf(found: Found): Generator<Buffer> {
	// What begins a walk is open already, and its name in /proc is a link.
	const fd = fs.openSync(found.at, O_RDONLY | O_NONBLOCK | (found.entry.name === "" ? 0 : O_NOFOLLOW));
	try {
		for (let left = found.entry.size; left > 0; ) {
			const length = fs.readSync(fd, CHUNK, 0, Math.min(left, CHUNK.length), null);
			if (length === 0) return;
			left -= length;
			yield CHUNK.subarray(0, length);
		}
	} finally {
		fs.closeSync(fd);
	}
}

const SLASH = Buffer.from("/");
const CHUNK = Buffer.alloc(256 * 1024);

/** Sockets are nothing that can be copied. */
function foundAt(at: Buffer, name: string, stat: fs.BigIntStats): Found | undefined {
	const type = typeOf(stat);
	if (!type) return undefined;
	const isDevice = type.endsWith("device");
	const device = Number(stat.rdev);
	const entry: LayerEntry = {
		name,
		type,
		mode: Number(stat.mode) & 0o7777,
		uid: Number(stat.uid),
		gid: Number(stat.gid),
		mtime: { seconds: Number(stat.mtimeNs / 1_000_000_000n), nanos: Number(stat.mtimeNs % 1_000_000_000n) },
		linkname: type === "symlink" ? fs.readlinkSync(at, "buffer").toString("latin1") : "",
		// gnu_dev_major(3), gnu_dev_minor(3)
		devmajor: isDevice ? (device >>> 8) & 0xfff : 0,
		devminor: isDevice ? (device & 0xff) | ((device >>> 12) & 0xfff00) : 0,
		xattrs: type === "file" || type === "directory" ? xattrsOf(at, name) : new Map(),
		size: type === "file" ? Number(stat.size) : 0,
	};
	return { entry, at, dev: Number(stat.dev), ino: Number(stat.ino), links: Number(stat.nlink), ctimeNs: stat.ctimeNs };
}

/** File capabilities and the user's own attributes: what a layer has of them. */
function xattrsOf(at: Buffer, name: string): Map<string, Uint8Array> {
	const found = new Map<string, Uint8Array>();
	// What begins a walk is seen through its link in /proc, which has none.
	const path = name === "" ? fs.realpathSync(at, "buffer") : at;
	for (const key of listXattrs(path)) {
		if (key !== "security.capability" && !key.startsWith("user.")) continue;
		const value = key.startsWith("user.overlay.") ? undefined : getXattr(path, key);
		if (value) found.set(key, Buffer.from(value));
	}
	return found;
}

function typeOf(stat: fs.BigIntStats): LayerEntry["type"] | undefined {
	if (stat.isFile()) return "file";
	if (stat.isDirectory()) return "directory";
	if (stat.isSymbolicLink()) return "symlink";
	if (stat.isCharacterDevice()) return "character-device";
	if (stat.isBlockDevice()) return "block-device";
	return stat.isFIFO() ? "fifo" : undefined;
}
