import { type Pointer, ptr } from "bun:ffi";
import * as fs from "node:fs";
import { check, errno, libc, SyscallError } from "../../../sys/linux/libc.ts";
import { O_CLOEXEC, O_DIRECTORY, O_PATH, openInRoot } from "../../../sys/linux/openat2.ts";
import { getXattr, setXattr } from "../../../sys/linux/xattr.ts";
import { type LayerEntry, readable } from "./tar-reader.ts";

const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const S_IFIFO = 0o010000;
const AT_SYMLINK_NOFOLLOW = 0x100;
const EEXIST = 17;
const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
const PATH_MAX = 4096;
/** "y" */
const OPAQUE_YES = 0x79;

/** Takes away what a later entry of the same tar replaces: renames it to the returned name below `fd`. `path` is a byte string. */
export interface Attic {
	readonly fd: number;
	move(path: string): string;
}

/**
 * Writes entries below one directory, and nowhere else: every parent is opened with openat2(RESOLVE_IN_ROOT), and the last component is a
 * plain name used through that parent's fd. Synchronous, for a Worker. Nobody else may write below the directory meanwhile.
 * Names are byte strings (LayerEntry).
 */
export class LayerWriter implements Disposable {
	private readonly root: number;
	/** `real` is where `path` led, without symlinks. */
	private parent: { path: string; fd: number; real: string } | undefined;
	/** Directory times are set last: every new entry changes them. By real path. */
	private readonly directoryTimes = new Map<string, LayerEntry["mtime"]>();
	/** Names whited out in this layer: a directory made there later must be opaque. */
	private readonly whiteouts = new Set<string>();
	private readonly rootPath: string;

	constructor(
		directory: string,
		private readonly attic: Attic,
	) {
		this.root = fs.openSync(directory, O_PATH | O_DIRECTORY);
		this.rootPath = realPath(this.root);
	}

	/** Makes the entry; the returned fd (files only) is the caller's to fill and hand to `finish`. `path` is real. */
	begin(entry: LayerEntry): { fd: number; path: string } | undefined {
		const clean = cleanName(entry.name);
		if (clean === "") {
			if (entry.type === "directory") this.setRoot(entry);
			return undefined;
		}
		const { directory, base } = split(clean);
		const parent = this.openParent(directory);
		const path = parent.real === "" ? base : `${parent.real}/${base}`;
		if (base.startsWith(WHITEOUT)) this.whiteout(parent, base);
		else if (entry.type === "character-device" && entry.devmajor === 0 && entry.devminor === 0)
			this.makeWhiteout(parent.fd, base, path);
		else return this.make(parent.fd, base, path, entry);
		return undefined;
	}

	/** Owner, mode, attributes and times of a filled file; closes the fd. */
	finish(file: { fd: number }, entry: LayerEntry): void {
		try {
			check(libc.fchown(file.fd, entry.uid, entry.gid), "fchown");
			// chown clears set-id bits, so it comes first; writing times clears nothing
			for (const [name, value] of entry.xattrs) setKnownXattr(`/proc/self/fd/${file.fd}`, name, value, "follow");
			check(libc.fchmod(file.fd, entry.mode), "fchmod");
			check(libc.futimens(file.fd, timesOf(entry.mtime)), "futimens");
		} finally {
			libc.close(file.fd);
		}
	}

	/** Sets the directories' times. Call once, after the last entry. */
	complete(): void {
		for (const [path, time] of this.directoryTimes) {
			const fd = path === "" ? this.root : this.open(path);
			// touch -d TIME DIRECTORY
			const result = libc.utimensat(fd, bytesOf("."), timesOf(time), 0);
			if (fd !== this.root) fs.closeSync(fd);
			check(result, `utimensat ${readable(path)}`);
		}
	}

	[Symbol.dispose](): void {
		if (this.parent) fs.closeSync(this.parent.fd);
		this.parent = undefined;
		fs.closeSync(this.root);
	}

	private make(
		parent: number,
		base: string,
		path: string,
		entry: LayerEntry,
	): { fd: number; path: string } | undefined {
		if (entry.type === "directory") {
			this.makeDirectory(parent, base, path, entry);
			return undefined;
		}
		const made = this.tryMake(parent, base, entry);
		// GNU tar calls a file with several names a link to itself when it is named twice.
		if (made === "exists" && entry.type === "link" && cleanName(entry.linkname) === cleanName(entry.name))
			return undefined;
		if (made === "exists") {
			this.clear(parent, base, path);
			const again = this.tryMake(parent, base, entry);
			if (again === "exists") throw new SyscallError(`create ${readable(path)}`, EEXIST);
			return again === undefined ? undefined : { fd: again, path };
		}
		return made === undefined ? undefined : { fd: made, path };
	}

	/** The fd of a new file, undefined for other types, "exists" when the name is taken. */
	private tryMake(parent: number, base: string, entry: LayerEntry): number | undefined | "exists" {
		const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = fs.constants;
		if (entry.type === "file") {
			const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
			return unlessTaken(libc.openat(parent, bytesOf(base), flags, 0o600), `create ${readable(entry.name)}`);
		}
		if (entry.type === "link") return this.makeLink(parent, base, entry);
		const made =
			entry.type === "symlink"
				? // ln -s LINKNAME BASE
					libc.symlinkat(bytesOf(entry.linkname, 1), parent, bytesOf(base))
				: makeNode(parent, base, entry);
		if (unlessTaken(made, `make ${readable(entry.name)}`) === "exists") return "exists";
		this.setMetadata(parent, base, entry);
		return undefined;
	}

	private makeLink(parent: number, base: string, entry: LayerEntry): undefined | "exists" {
		const target = split(cleanName(entry.linkname));
		const fd = openInRoot(this.root, Buffer.from(target.directory, "latin1"), O_PATH | O_DIRECTORY);
		try {
			// linkat with no AT_SYMLINK_FOLLOW: a link to a symlink links the symlink itself
			const made = libc.linkat(fd, bytesOf(target.base, 1), parent, bytesOf(base), 0);
			return unlessTaken(made, `link ${readable(entry.linkname)}`) === "exists" ? "exists" : undefined;
		} finally {
			fs.closeSync(fd);
		}
	}

	private makeDirectory(parent: number, base: string, path: string, entry: LayerEntry): void {
		const wasWhiteout = this.whiteouts.has(path);
		if (unlessTaken(libc.mkdirat(parent, bytesOf(base), 0o700), `mkdir ${readable(path)}`) === "exists") {
			const existing = fs.lstatSync(nameAt(parent, base));
			if (!existing.isDirectory()) {
				this.clear(parent, base, path);
				check(libc.mkdirat(parent, bytesOf(base), 0o700), `mkdir ${readable(path)}`);
			}
		}
		if (wasWhiteout) setOpaque(nameAt(parent, base));
		this.setMetadata(parent, base, entry);
		this.directoryTimes.set(path, entry.mtime);
	}

	private setRoot(entry: LayerEntry): void {
		this.setMetadata(this.root, ".", entry);
		this.directoryTimes.set("", entry.mtime);
	}

	/** Of anything but a file that is open. */
	private setMetadata(parent: number, base: string, entry: LayerEntry): void {
		const call = (what: string) => `${what} ${readable(entry.name)}`;
		check(libc.fchownat(parent, bytesOf(base), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW), call("chown"));
		for (const [name, value] of entry.xattrs) setKnownXattr(nameAt(parent, base), name, value);
		// No race with a symlink: nobody else writes here, and this name was just made.
		if (entry.type !== "symlink") check(libc.fchmodat(parent, bytesOf(base), entry.mode, 0), call("chmod"));
		if (entry.type === "directory") return;
		check(libc.utimensat(parent, bytesOf(base), timesOf(entry.mtime), AT_SYMLINK_NOFOLLOW), call("touch"));
	}

	private whiteout(parent: { fd: number; real: string }, base: string): void {
		if (base === OPAQUE) {
			this.makeOpaque(parent);
			return;
		}
		if (base.startsWith(`${WHITEOUT}${WHITEOUT}`)) return; // AUFS bookkeeping
		const name = base.slice(WHITEOUT.length);
		if (name === "" || name === "." || name === "..")
			throw new Error(`whiteout of ${JSON.stringify(readable(base))} is not allowed`);
		this.makeWhiteout(parent.fd, name, parent.real === "" ? name : `${parent.real}/${name}`);
	}

	/** Whiteouts in it have nothing to hide any more, and overlayfs would show their names: it looks for them in merged directories alone. */
	private makeOpaque(parent: { fd: number; real: string }): void {
		setOpaque(nameAt(parent.fd, "."));
		for (const path of this.whiteouts) {
			const { directory, base } = split(path);
			if (directory !== parent.real) continue;
			// rm PATH
			check(libc.unlinkat(parent.fd, bytesOf(base), 0), `rm ${readable(path)}`);
			// What is made in its place needs nothing hidden either.
			this.whiteouts.delete(path);
		}
	}

	/** A whiteout hides what lies below, never what this layer holds itself. */
	private makeWhiteout(parent: number, base: string, path: string): void {
		const existing = fs.lstatSync(nameAt(parent, base), { throwIfNoEntry: false });
		if (existing?.isDirectory()) setOpaque(nameAt(parent, base));
		if (existing || isOpaque(nameAt(parent, "."))) return;
		// mknod PATH c 0 0
		check(libc.mknodat(parent, bytesOf(base), S_IFCHR, 0), `mknod ${readable(path)}`);
		this.whiteouts.add(path);
	}

	/** Makes room for another entry of this name. Contents go to the attic: the tar cannot be put together again without them. */
	private clear(parent: number, base: string, path: string): void {
		const existing = fs.lstatSync(nameAt(parent, base));
		this.whiteouts.delete(path);
		if (!existing.isFile() && !existing.isDirectory()) {
			if (existing.isSymbolicLink()) this.forgetParent();
			check(libc.unlinkat(parent, bytesOf(base), 0), `rm ${readable(path)}`);
			return;
		}
		if (existing.isDirectory()) this.forgetDirectory(path);
		check(
			libc.renameat(parent, bytesOf(base), this.attic.fd, bytesOf(this.attic.move(path), 1)),
			`replace ${readable(path)}`,
		);
	}

	private forgetDirectory(path: string): void {
		this.forgetParent();
		for (const known of [...this.directoryTimes.keys(), ...this.whiteouts]) {
			if (known !== path && !known.startsWith(`${path}/`)) continue;
			this.directoryTimes.delete(known);
			this.whiteouts.delete(known);
		}
	}

	/** The next entry looks its parent up anew. The fd in use stays open until then. */
	private forgetParent(): void {
		if (this.parent) this.parent = { ...this.parent, path: "\0" };
	}

	private openParent(path: string): { fd: number; real: string } {
		if (this.parent?.path === path) return this.parent;
		const fd = this.openDirectory(path);
		if (this.parent) fs.closeSync(this.parent.fd);
		this.parent = { path, fd, real: realPath(fd).slice(this.rootPath.length + 1) };
		return this.parent;
	}

	private openDirectory(path: string): number {
		try {
			return this.open(path);
		} catch (error) {
			if (path === "" || !(error instanceof SyscallError && error.code === "ENOENT")) throw error;
		}
		const { directory, base } = split(path);
		const above = this.openDirectory(directory);
		try {
			check(libc.mkdirat(above, bytesOf(base), 0o700), `mkdir ${readable(path)}`);
			check(libc.fchmodat(above, bytesOf(base), 0o755, 0), `chmod ${readable(path)}`);
		} finally {
			fs.closeSync(above);
		}
		return this.open(path);
	}

	private open(path: string): number {
		return openInRoot(this.root, Buffer.from(path, "latin1"), O_PATH | O_DIRECTORY);
	}
}

/** `./a//b/` as `a/b`. Throws when `..` leads out of the layer. */
export function cleanName(name: string): string {
	if (/^[^/.\0][^/\0]*(?:\/[^/.\0][^/\0]*)*$/.test(name)) return name;
	if (name.includes("\0")) throw new Error(`name with NUL byte: ${JSON.stringify(name)}`);
	const parts: string[] = [];
	for (const part of name.split("/")) {
		if (part === "" || part === ".") continue;
		if (part !== "..") parts.push(part);
		else if (parts.pop() === undefined) throw new Error(`${JSON.stringify(readable(name))} leads out of the layer`);
	}
	return parts.join("/");
}

function split(path: string): { directory: string; base: string } {
	const slash = path.lastIndexOf("/");
	return slash < 0 ? { directory: "", base: path } : { directory: path.slice(0, slash), base: path.slice(slash + 1) };
}

/** Where an fd leads, as a byte string. */
function realPath(fd: number): string {
	// readlink /proc/self/fd/N
	return fs.readlinkSync(`/proc/self/fd/${fd}`, "buffer").toString("latin1");
}

function nameAt(parent: number, base: string): Buffer {
	return Buffer.concat([Buffer.from(`/proc/self/fd/${parent}/`), Buffer.from(base, "latin1")]);
}

const scratch = [Buffer.alloc(PATH_MAX + 1), Buffer.alloc(PATH_MAX + 1)] as const;
const scratchPointers: readonly [Pointer, Pointer] = [ptr(scratch[0]), ptr(scratch[1])];

/** A byte string as a C string, valid until the next call for the same slot: no allocation per system call. */
function bytesOf(name: string, slot: 0 | 1 = 0): Pointer {
	if (name.length >= PATH_MAX) throw new SyscallError(`path ${readable(name.slice(0, 60))}...`, 36);
	if (name.includes("\0")) throw new Error(`name with NUL byte: ${JSON.stringify(readable(name))}`);
	scratch[slot][scratch[slot].write(name, "latin1")] = 0;
	return scratchPointers[slot];
}

const times = new BigInt64Array(4);
const timesPointer = ptr(times);

/** struct timespec[2] (atime, mtime), valid until the next call. */
function timesOf(time: LayerEntry["mtime"]): Pointer {
	times[0] = times[2] = BigInt(time.seconds);
	times[1] = times[3] = BigInt(time.nanos);
	return timesPointer;
}

/** The call's result; "exists" when it failed because the name is taken. Throws SyscallError for other failures. */
function unlessTaken(result: number, call: string): number | "exists" {
	if (result >= 0) return result;
	return errno() === EEXIST ? "exists" : check(result, call);
}

function makeNode(parent: number, base: string, entry: LayerEntry): number {
	const types: Record<string, number> = { fifo: S_IFIFO, "character-device": S_IFCHR, "block-device": S_IFBLK };
	const { devmajor: major, devminor: minor } = entry;
	// gnu_dev_makedev(3)
	const device =
		((BigInt(major) & 0xfffff000n) << 32n) |
		((BigInt(major) & 0xfffn) << 8n) |
		((BigInt(minor) & 0xffffff00n) << 12n) |
		(BigInt(minor) & 0xffn);
	return libc.mknodat(parent, bytesOf(base), (types[entry.type] ?? 0) | 0o600, device);
}

function setOpaque(path: Buffer): void {
	setXattr(path, "trusted.overlay.opaque", Buffer.of(OPAQUE_YES));
}

function isOpaque(path: Buffer): boolean {
	return getXattr(path, "trusted.overlay.opaque")?.[0] === OPAQUE_YES;
}

/** overlayfs reads its own attributes as instructions: a layer may not bring them. Filesystems without an attribute's kind do without. */
function setKnownXattr(path: string | Buffer, name: string, value: Uint8Array, links?: "follow"): void {
	if (name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.")) return;
	try {
		setXattr(path, name, value, links);
	} catch (error) {
		const code = error instanceof Error && "code" in error ? error.code : undefined;
		if (code !== "EOPNOTSUPP" && code !== "EPERM") throw error;
	}
}
