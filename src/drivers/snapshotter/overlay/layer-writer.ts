import { ptr } from "bun:ffi";
import * as fs from "node:fs";
import { check, cstring, libc } from "../../../sys/linux/libc.ts";
import { O_DIRECTORY, O_PATH, openInRoot } from "../../../sys/linux/openat2.ts";
import { setXattr } from "../../../sys/linux/xattr.ts";

/** One tar entry, its name not yet trusted. */
export interface LayerEntry {
	readonly name: string;
	readonly type: "file" | "directory" | "symlink" | "link" | "fifo" | "character-device" | "block-device";
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	readonly mtime: Date;
	readonly linkname: string;
	readonly devmajor: number;
	readonly devminor: number;
	readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const S_IFIFO = 0o010000;
const AT_FDCWD = -100;
const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";

/**
 * Writes entries below one directory, and nowhere else: every parent is opened with openat2(RESOLVE_IN_ROOT), and the last component is a
 * plain name used through that parent's fd. Synchronous, for a Worker. Nobody else may write below the directory meanwhile.
 */
export class LayerWriter implements Disposable {
	private readonly root: number;
	private parent: { path: string; fd: number } | undefined;
	/** Directory times are set last: every new entry changes them. */
	private readonly directoryTimes = new Map<string, Date>();
	/** Names whited out in this layer: a directory made there later must be opaque. */
	private readonly whiteouts = new Set<string>();

	constructor(directory: string) {
		this.root = fs.openSync(directory, O_PATH | O_DIRECTORY);
	}

	/** Makes the entry; the returned fd (files only) is the caller's to fill and hand to `finish`. */
	begin(entry: LayerEntry): { fd: number; path: string } | undefined {
		const clean = cleanName(entry.name);
		if (clean === "") {
			if (entry.type === "directory") this.setDirectory(`/proc/self/fd/${this.root}/.`, "", entry);
			return undefined;
		}
		const { directory, base } = split(clean);
		const at = `/proc/self/fd/${this.openParent(directory)}`;
		const isNullDevice = entry.type === "character-device" && entry.devmajor === 0 && entry.devminor === 0;
		if (base.startsWith(WHITEOUT)) {
			this.whiteout(at, directory, base);
			return undefined;
		}
		const path = `${at}/${base}`;
		if (isNullDevice) this.makeWhiteout(path, clean);
		else return this.make(path, clean, entry);
		return undefined;
	}

	/** Owner, mode, attributes and times of a filled file; closes the fd. */
	finish(file: { fd: number; path: string }, entry: LayerEntry): void {
		fs.closeSync(file.fd);
		this.setMetadata(file.path, entry);
	}

	/** Sets the directories' times. Call once, after the last entry. */
	complete(): void {
		for (const [path, time] of this.directoryTimes) {
			const fd = openInRoot(this.root, path, O_PATH | O_DIRECTORY);
			try {
				fs.utimesSync(`/proc/self/fd/${fd}/.`, time, time);
			} finally {
				fs.closeSync(fd);
			}
		}
	}

	[Symbol.dispose](): void {
		if (this.parent) fs.closeSync(this.parent.fd);
		this.parent = undefined;
		fs.closeSync(this.root);
	}

	private make(path: string, clean: string, entry: LayerEntry): { fd: number; path: string } | undefined {
		if (entry.type === "directory") {
			this.makeDirectory(path, clean, entry);
			return undefined;
		}
		this.clear(path, clean);
		if (entry.type === "file") {
			const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = fs.constants;
			return { fd: fs.openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600), path };
		}
		if (entry.type === "link") {
			this.makeLink(path, entry.linkname);
			return undefined;
		}
		if (entry.type === "symlink") fs.symlinkSync(entry.linkname, path);
		else makeNode(path, entry);
		this.setMetadata(path, entry);
		return undefined;
	}

	private makeDirectory(path: string, clean: string, entry: LayerEntry): void {
		const existing = fs.lstatSync(path, { throwIfNoEntry: false });
		const wasWhiteout = this.whiteouts.has(clean);
		if (existing && !existing.isDirectory()) this.clear(path, clean);
		if (!existing?.isDirectory()) fs.mkdirSync(path, 0o700);
		if (wasWhiteout) setXattr(path, "trusted.overlay.opaque", Buffer.from("y"));
		this.setDirectory(path, clean, entry);
	}

	private setDirectory(path: string, clean: string, entry: LayerEntry): void {
		this.setMetadata(path, entry);
		this.directoryTimes.set(clean, entry.mtime);
	}

	private makeLink(path: string, linkname: string): void {
		const target = split(cleanName(linkname));
		const fd = openInRoot(this.root, target.directory, O_PATH | O_DIRECTORY);
		try {
			// linkat with no AT_SYMLINK_FOLLOW: a link to a symlink links the symlink itself
			const from = cstring(target.base);
			const to = cstring(path);
			check(libc.linkat(fd, ptr(from), AT_FDCWD, ptr(to), 0), `link ${linkname}`);
		} finally {
			fs.closeSync(fd);
		}
	}

	private setMetadata(path: string, entry: LayerEntry): void {
		fs.lchownSync(path, entry.uid, entry.gid);
		for (const [name, value] of entry.xattrs) setKnownXattr(path, name, value);
		if (entry.type !== "symlink") fs.chmodSync(path, entry.mode & 0o7777);
		fs.lutimesSync(path, entry.mtime, entry.mtime);
	}

	private whiteout(at: string, directory: string, base: string): void {
		if (base === OPAQUE) {
			setXattr(`${at}/.`, "trusted.overlay.opaque", Buffer.from("y"));
			return;
		}
		if (base.startsWith(`${WHITEOUT}${WHITEOUT}`)) return; // AUFS bookkeeping
		const name = base.slice(WHITEOUT.length);
		if (name === "" || name === "." || name === "..")
			throw new Error(`whiteout of ${JSON.stringify(base)} is not allowed`);
		this.makeWhiteout(`${at}/${name}`, directory === "" ? name : `${directory}/${name}`);
	}

	/** A whiteout hides what lies below, never what this layer holds itself. */
	private makeWhiteout(path: string, clean: string): void {
		const existing = fs.lstatSync(path, { throwIfNoEntry: false });
		if (existing?.isDirectory()) setXattr(path, "trusted.overlay.opaque", Buffer.from("y"));
		if (existing) return;
		// mknod PATH c 0 0
		const name = cstring(path);
		check(libc.mknodat(AT_FDCWD, ptr(name), S_IFCHR, 0), `mknod ${clean}`);
		this.whiteouts.add(clean);
	}

	private clear(path: string, clean: string): void {
		const existing = fs.lstatSync(path, { throwIfNoEntry: false });
		if (!existing) return;
		this.whiteouts.delete(clean);
		if (existing.isDirectory() || existing.isSymbolicLink()) this.closeParent(clean);
		if (!existing.isDirectory()) {
			fs.unlinkSync(path);
			return;
		}
		for (const known of this.directoryTimes.keys()) {
			if (known === clean || known.startsWith(`${clean}/`)) this.directoryTimes.delete(known);
		}
		fs.rmSync(path, { recursive: true });
	}

	/** A cached parent at or below `clean` may mean another directory from now on. The fd of the parent in use stays open until the next. */
	private closeParent(clean: string): void {
		if (this.parent && `${this.parent.path}/`.startsWith(`${clean}/`)) this.parent = { path: "\0", fd: this.parent.fd };
	}

	private openParent(path: string): number {
		if (this.parent?.path === path) return this.parent.fd;
		const fd = this.openDirectory(path);
		if (this.parent) fs.closeSync(this.parent.fd);
		this.parent = { path, fd };
		return fd;
	}

	private openDirectory(path: string): number {
		try {
			return openInRoot(this.root, path, O_PATH | O_DIRECTORY);
		} catch (error) {
			if (path === "" || !(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
		}
		const { directory, base } = split(path);
		const above = this.openDirectory(directory);
		try {
			fs.mkdirSync(`/proc/self/fd/${above}/${base}`, 0o755);
		} finally {
			fs.closeSync(above);
		}
		return openInRoot(this.root, path, O_PATH | O_DIRECTORY);
	}
}

/** `./a//b/` as `a/b`. Throws when `..` leads out of the layer. */
export function cleanName(name: string): string {
	if (name.includes("\0")) throw new Error(`name with NUL byte: ${JSON.stringify(name)}`);
	const parts: string[] = [];
	for (const part of name.split("/")) {
		if (part === "" || part === ".") continue;
		if (part !== "..") parts.push(part);
		else if (parts.pop() === undefined) throw new Error(`${JSON.stringify(name)} leads out of the layer`);
	}
	return parts.join("/");
}

function split(path: string): { directory: string; base: string } {
	const slash = path.lastIndexOf("/");
	return slash < 0 ? { directory: "", base: path } : { directory: path.slice(0, slash), base: path.slice(slash + 1) };
}

function makeNode(path: string, entry: LayerEntry): void {
	const types: Record<string, number> = { fifo: S_IFIFO, "character-device": S_IFCHR, "block-device": S_IFBLK };
	const { devmajor: major, devminor: minor } = entry;
	// gnu_dev_makedev(3)
	const device =
		((BigInt(major) & 0xfffff000n) << 32n) |
		((BigInt(major) & 0xfffn) << 8n) |
		((BigInt(minor) & 0xffffff00n) << 12n) |
		(BigInt(minor) & 0xffn);
	const name = cstring(path);
	check(libc.mknodat(AT_FDCWD, ptr(name), (types[entry.type] ?? 0) | 0o600, device), `mknod ${entry.name}`);
}

/** overlayfs reads its own attributes as instructions: a layer may not bring them. Filesystems without an attribute's kind do without. */
function setKnownXattr(path: string, name: string, value: Uint8Array): void {
	if (name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.")) return;
	try {
		setXattr(path, name, value);
	} catch (error) {
		const code = error instanceof Error && "code" in error ? error.code : undefined;
		if (code !== "EOPNOTSUPP" && code !== "EPERM") throw error;
	}
}
