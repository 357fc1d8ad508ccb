import { ptr } from "bun:ffi";
import * as fs from "node:fs";
import { check, cstring, libc, SyscallError } from "../../../sys/linux/libc.ts";
import { O_CLOEXEC, O_DIRECTORY, O_PATH, openInRoot } from "../../../sys/linux/openat2.ts";
import { setXattr } from "../../../sys/linux/xattr.ts";
import { type LayerEntry, readable, type TarSink } from "../overlay/tar-reader.ts";
import { removeTree } from "./remove-tree.ts";

const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const S_IFIFO = 0o010000;
const AT_SYMLINK_NOFOLLOW = 0x100;
const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = fs.constants;

export interface WriteOptions {
	/** docker's noOverwriteDirNonDir: a directory is not replaced by something else, nor the other way round. */
	readonly keepKinds: boolean;
	/** Everything belongs to them, whatever the archive says. */
	readonly owner?: { readonly uid: number; readonly gid: number };
}

/** A file that is being written; either ended or disposed of. */
export interface OpenFile extends Disposable {
	write(data: Uint8Array): void;
	/** Its content is complete. */
	end(): void;
}

/**
 * Writes a tar's entries below one directory of a container, which may run and change its files meanwhile: every parent is opened with
 * openat2(RESOLVE_IN_ROOT), and what is done to an entry is done through its own fd or through its parent's without following links, so
 * that no swapped link leads out of the root (CVE-2018-15664). Synchronous. Errors have docker's words.
 */
export class TreeWriter implements TarSink, Disposable {
	private parent: { path: string; fd: number } | undefined;
	private file: { fd: number; entry: LayerEntry } | undefined;
	/** Set last, since every new entry changes them; latest entry of a name. Byte strings. */
	private readonly times = new Map<string, LayerEntry["mtime"]>();

	/** @param root O_PATH fd of the container's root; @param destination path of the directory inside it, a byte string */
	constructor(
		private readonly root: number,
		private readonly destination: string,
		private readonly options: WriteOptions,
		/** Called with each file once it is whole. */
		private readonly written?: (fd: number) => void,
	) {}

	raw(): void {}

	begin(entry: LayerEntry): boolean {
		const clean = cleanName(entry.name, this.destination);
		if (clean === "") return false;
		const { directory, base } = split(clean);
		const parent = this.openParent(directory);
		const existing = this.replaces(parent, clean, entry);
		if (entry.type === "file") {
			const name = cstring(bytes(base));
			const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
			const fd = check(libc.openat(parent, ptr(name), flags, 0o600), `open ${readable(clean)}`);
			this.file = { fd, entry };
			return true;
		}
		if (entry.type === "link") this.link(parent, base, entry);
		else if (entry.type === "directory") this.directory(parent, clean, entry, existing === "directory");
		else if (entry.type === "symlink") this.symlink(parent, base, entry);
		else this.node(parent, base, entry);
		return false;
	}

	payload(data: Uint8Array): void {
		if (!this.file) return;
		writeAll(this.file.fd, data);
	}

	finish(): void {
		const { file } = this;
		this.file = undefined;
		if (!file) return;
		try {
			this.describe(file.fd, file.entry);
			setTimes(file.fd, file.entry.mtime);
			this.written?.(file.fd);
		} finally {
			fs.closeSync(file.fd);
		}
	}

	/** A file whose content comes while other entries do: several can be open. The caller ends it. */
	openFile(entry: LayerEntry): OpenFile {
		this.begin(entry);
		const file = this.file;
		this.file = undefined;
		if (!file) throw new Error(`${readable(entry.name)} is no file`);
		const close = () => fs.closeSync(file.fd);
		return {
			write: (data) => writeAll(file.fd, data),
			end: () => {
				try {
					this.describe(file.fd, file.entry);
					setTimes(file.fd, file.entry.mtime);
				} finally {
					close();
				}
			},
			[Symbol.dispose]: close,
		};
	}

	/** Sets the directories' times. Call once, after the last entry. */
	complete(): void {
		for (const [path, time] of this.times) {
			try {
				const fd = openInRoot(this.root, this.inRoot(path), fs.constants.O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
				try {
					setTimes(fd, time);
				} finally {
					fs.closeSync(fd);
				}
			} catch (error) {
				// the container has taken it away meanwhile
				if (!(error instanceof SyscallError)) throw error;
			}
		}
	}

	[Symbol.dispose](): void {
		if (this.parent) fs.closeSync(this.parent.fd);
		if (this.file) fs.closeSync(this.file.fd);
		this.parent = undefined;
		this.file = undefined;
	}

	/** Takes away what is in the entry's place, unless both are directories. */
	private replaces(parent: number, clean: string, entry: LayerEntry): "directory" | undefined {
		const { base } = split(clean);
		const path = Buffer.concat([Buffer.from(`/proc/self/fd/${parent}/`), bytes(base)]);
		const found = fs.lstatSync(path, { throwIfNoEntry: false });
		if (!found) return undefined;
		const [was, becomes] = [found.isDirectory(), entry.type === "directory"];
		if (was && becomes) return "directory";
		if (this.options.keepKinds && was !== becomes) {
			const kinds = was ? ["directory", "non-directory"] : ["non-directory", "directory"];
			const [name, at] = [readable(clean), readable(this.destination)];
			throw new Error(`cannot overwrite ${kinds[0]} ${JSON.stringify(name)} with ${kinds[1]} ${JSON.stringify(at)}`);
		}
		removeTree(parent, bytes(base));
		this.forget(clean);
		return undefined;
	}

	private directory(parent: number, clean: string, entry: LayerEntry, exists: boolean): void {
		const name = cstring(bytes(split(clean).base));
		if (!exists) check(libc.mkdirat(parent, ptr(name), 0o700), `mkdir ${readable(clean)}`);
		const flags = fs.constants.O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
		const fd = check(libc.openat(parent, ptr(name), flags, 0), `open ${readable(clean)}`);
		try {
			this.describe(fd, entry);
		} finally {
			fs.closeSync(fd);
		}
		this.times.set(clean, entry.mtime);
	}

	private symlink(parent: number, base: string, entry: LayerEntry): void {
		const [target, name] = [cstring(bytes(entry.linkname)), cstring(bytes(base))];
		check(libc.symlinkat(ptr(target), parent, ptr(name)), `symlink ${readable(base)}`);
		const { uid, gid } = this.options.owner ?? entry;
		check(libc.fchownat(parent, ptr(name), uid, gid, AT_SYMLINK_NOFOLLOW), `lchown ${readable(base)}`);
		check(libc.utimensat(parent, ptr(name), ptr(timespecs(entry.mtime)), AT_SYMLINK_NOFOLLOW), `utimes ${base}`);
	}

	private link(parent: number, base: string, entry: LayerEntry): void {
		const target = split(cleanName(entry.linkname, this.destination));
		const from = openInRoot(this.root, this.inRoot(target.directory), O_PATH | O_DIRECTORY);
		try {
			// linkat without AT_SYMLINK_FOLLOW: a link to a symlink links the symlink itself
			const [old, name] = [cstring(bytes(target.base)), cstring(bytes(base))];
			check(libc.linkat(from, ptr(old), parent, ptr(name), 0), `link ${readable(entry.linkname)}`);
		} finally {
			fs.closeSync(from);
		}
	}

	private node(parent: number, base: string, entry: LayerEntry): void {
		const kinds: Record<string, number> = { fifo: S_IFIFO, "character-device": S_IFCHR, "block-device": S_IFBLK };
		const name = cstring(bytes(base));
		// mknod NAME TYPE MAJOR MINOR
		const mode = (kinds[entry.type] ?? S_IFIFO) | 0o600;
		check(libc.mknodat(parent, ptr(name), mode, deviceNumber(entry)), `mknod ${readable(base)}`);
		const fd = check(libc.openat(parent, ptr(name), O_PATH | O_NOFOLLOW | O_CLOEXEC, 0), `open ${readable(base)}`);
		try {
			const { uid, gid } = this.options.owner ?? entry;
			// An O_PATH fd is pinned to the node, which its name need not be any more.
			fs.chownSync(`/proc/self/fd/${fd}`, uid, gid);
			fs.chmodSync(`/proc/self/fd/${fd}`, entry.mode);
		} finally {
			fs.closeSync(fd);
		}
		check(libc.utimensat(parent, ptr(name), ptr(timespecs(entry.mtime)), AT_SYMLINK_NOFOLLOW), `utimes ${base}`);
	}

	/** Owner, attributes, mode of a file or directory, in this order: a change of owner takes setuid and capabilities away. */
	private describe(fd: number, entry: LayerEntry): void {
		const { uid, gid } = this.options.owner ?? entry;
		fs.fchownSync(fd, uid, gid);
		for (const [name, value] of entry.xattrs) setKnownXattr(fd, name, value);
		fs.fchmodSync(fd, entry.mode);
	}

	private inRoot(path: string): Buffer {
		return bytes(`${this.destination}/${path}`);
	}

	private openParent(path: string): number {
		if (this.parent?.path === path) return this.parent.fd;
		const fd = this.openDirectory(path);
		if (this.parent) fs.closeSync(this.parent.fd);
		this.parent = { path, fd };
		return fd;
	}

	/** Directories that the archive only implies are made. */
	private openDirectory(path: string): number {
		try {
			return openInRoot(this.root, this.inRoot(path), O_PATH | O_DIRECTORY);
		} catch (error) {
			if (path === "" || !(error instanceof SyscallError) || error.code !== "ENOENT") throw error;
		}
		const { directory, base } = split(path);
		const above = this.openDirectory(directory);
		try {
			const name = cstring(bytes(base));
			check(libc.mkdirat(above, ptr(name), 0o755), `mkdir ${readable(path)}`);
		} finally {
			fs.closeSync(above);
		}
		return openInRoot(this.root, this.inRoot(path), O_PATH | O_DIRECTORY);
	}

	/** What was known of a name or below it is so no more. */
	private forget(clean: string): void {
		if (this.parent && `${this.parent.path}/`.startsWith(`${clean}/`)) {
			fs.closeSync(this.parent.fd);
			this.parent = undefined;
		}
		for (const known of this.times.keys()) {
			if (`${known}/`.startsWith(`${clean}/`)) this.times.delete(known);
		}
	}
}

/** `./a//b/` as `a/b`. Throws when `..` leads out. */
function cleanName(name: string, destination: string): string {
	const parts: string[] = [];
	for (const part of name.split("/")) {
		if (part === "" || part === ".") continue;
		if (part !== "..") parts.push(part);
		else if (parts.pop() === undefined) {
			throw new Error(`${JSON.stringify(readable(name))} is outside of ${JSON.stringify(readable(destination))}`);
		}
	}
	return parts.join("/");
}

function split(path: string): { directory: string; base: string } {
	const slash = path.lastIndexOf("/");
	return slash < 0 ? { directory: "", base: path } : { directory: path.slice(0, slash), base: path.slice(slash + 1) };
}

function writeAll(fd: number, data: Uint8Array): void {
	for (let at = 0; at < data.length; ) at += fs.writeSync(fd, data, at);
}

function bytes(text: string): Buffer {
	return Buffer.from(text, "latin1");
}

/** struct timespec[2]: access and modification */
function timespecs({ seconds, nanos }: LayerEntry["mtime"]): BigInt64Array {
	const [whole, rest] = [BigInt(seconds), BigInt(nanos)];
	return new BigInt64Array([whole, rest, whole, rest]);
}

function setTimes(fd: number, time: LayerEntry["mtime"]): void {
	check(libc.futimens(fd, ptr(timespecs(time))), "futimens");
}

/** gnu_dev_makedev(3) */
function deviceNumber({ devmajor, devminor }: LayerEntry): bigint {
	const [major, minor] = [BigInt(devmajor), BigInt(devminor)];
	const high = ((major & 0xfffff000n) << 32n) | ((minor & 0xffffff00n) << 12n);
	return high | ((major & 0xfffn) << 8n) | (minor & 0xffn);
}

/** overlayfs reads its own attributes as instructions: an archive may not bring them. Filesystems without an attribute's kind do without. */
function setKnownXattr(fd: number, name: string, value: Uint8Array): void {
	if (name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.")) return;
	try {
		setXattr(`/proc/self/fd/${fd}`, name, value, "follow");
	} catch (error) {
		const code = error instanceof SyscallError ? error.code : "";
		if (code !== "EOPNOTSUPP" && code !== "EPERM") throw error;
	}
}
