import { accessSync, closeSync, constants, fstatSync, openSync, readFileSync, readlinkSync } from "node:fs";
import { SyscallError } from "../../../sys/linux/libc.ts";
import { O_DIRECTORY, O_PATH, openInRoot } from "../../../sys/linux/openat2.ts";
import { type BindOnTop, mountPrivately } from "../../../sys/linux/private-mounts.ts";
import { hiddenBelow } from "./hidden.ts";
import { pack } from "./pack.ts";
import type { WriteOptions } from "./tree-writer.ts";
import { unpack } from "./unpack.ts";

const { O_NOFOLLOW } = constants;
const MAX_LINKS = 255;

/**
 * The files of one container. Paths are those inside it; every one is resolved in its root, whatever links say. Errors carry the kernel's code
 * (`ENOENT`, `ENOTDIR`).
 */
export interface FileView extends Disposable {
	/** What is at the path: a link itself, unless the path ends in a slash. */
	stat(path: string): FileStat;
	/** The directory that the path leads to, links followed. */
	destination(path: string): Destination;
	/** A tar of what is at the path, which `rename` is the name of there. */
	pack(path: string, rename: string): AsyncIterable<Uint8Array>;
	/** Unpacks a tar in any compression into the directory at `path`. */
	unpack(path: string, body: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<void>;
}

export interface FileStat {
	readonly size: number;
	/** As in struct stat: type and permissions. */
	readonly mode: number;
	/** Nanoseconds since the epoch. */
	readonly mtimeNs: bigint;
	/** Where a link leads in the end, or as far as there is something. */
	readonly linkTarget: string;
}

export interface Destination {
	readonly isDirectory: boolean;
	/** Of the root filesystem, not of something mounted over it. */
	readonly isOfRoot: boolean;
	/** Mounted read-only. */
	readonly isReadonly: boolean;
}

/** The files as a running (or paused) process sees them: all mounts of its namespace. */
export function viewOfProcess(pid: number): FileView {
	const root = openSync(`/proc/${pid}/root`, O_PATH | O_DIRECTORY);
	const mounts = readFileSync(`/proc/${pid}/mountinfo`, "utf8");
	return viewOf(root, () => closeSync(root), mounts);
}

/** The files of a mounted root with binds on top; only the view sees those. */
export function viewOfMounts(root: string, binds: readonly BindOnTop[]): FileView {
	const mounted = mountPrivately(root, binds);
	return viewOf(mounted.root, mounted.close, "");
}

/** @param mountinfo of the container's namespace: what the kernel makes up is not archived */
function viewOf(root: number, close: () => void, mountinfo: string): FileView {
	return {
		stat: (path) => statAt(root, path),
		destination: (path) =>
			using(openInRoot(root, path, O_PATH), (fd) => ({
				isDirectory: fstatSync(fd).isDirectory(),
				isOfRoot: mountId(fd) === mountId(root),
				isReadonly: isReadonly(fd),
			})),
		async *pack(path, rename) {
			const isDirectory = using(openInRoot(root, path, O_PATH | O_NOFOLLOW), (fd) => fstatSync(fd).isDirectory());
			const { directory, base } = isDirectory ? { directory: path, base: undefined } : splitPath(path);
			const fd = openInRoot(root, directory, constants.O_RDONLY | O_DIRECTORY);
			try {
				const without = isDirectory ? hiddenBelow(mountinfo, pathOf(root, path)) : [];
				yield* pack({ directory: fd, name: base, rename, without });
			} finally {
				closeSync(fd);
			}
		},
		unpack: (path, body, options) => unpack({ root, destination: Buffer.from(path).toString("latin1"), options }, body),
		[Symbol.dispose]: close,
	};
}

function statAt(root: number, path: string): FileStat {
	const found = using(openInRoot(root, path, O_PATH | O_NOFOLLOW), (fd) => fstatSync(fd, { bigint: true }));
	const linkTarget = found.isSymbolicLink() ? pathOf(root, path) : "";
	return { size: Number(found.size), mode: Number(found.mode), mtimeNs: found.mtimeNs, linkTarget };
}

/** The path without links, as far as there is something: for people and for names, never to be opened without another resolving. */
export function pathOf(root: number, path: string): string {
	const left = path.split("/");
	const done: string[] = [];
	for (let links = 0; left.length > 0; ) {
		const part = left.shift();
		if (part === undefined || part === "" || part === ".") continue;
		if (part === "..") done.pop();
		else {
			const link = linkAt(root, [...done, part].join("/"));
			if (link === undefined) done.push(part);
			else if (++links > MAX_LINKS) throw new SyscallError(`openat2 ${path}`, 40);
			else {
				if (link.startsWith("/")) done.length = 0;
				left.unshift(...link.split("/"));
			}
		}
	}
	return `/${done.join("/")}`;
}

function linkAt(root: number, path: string): string | undefined {
	const { directory, base } = splitPath(path);
	try {
		return using(openInRoot(root, directory, O_PATH | O_DIRECTORY), (fd) =>
			readlinkSync(`/proc/self/fd/${fd}/${base}`),
		);
	} catch {
		return undefined;
	}
}

function splitPath(path: string): { directory: string; base: string } {
	const at = path.lastIndexOf("/");
	return { directory: path.slice(0, at + 1), base: path.slice(at + 1) };
}

function using<T>(fd: number, work: (fd: number) => T): T {
	try {
		return work(fd);
	} finally {
		closeSync(fd);
	}
}

function mountId(fd: number): string | undefined {
	return /^mnt_id:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1];
}

function isReadonly(fd: number): boolean {
	try {
		accessSync(`/proc/self/fd/${fd}`, constants.W_OK);
		return false;
	} catch (error) {
		return error instanceof Error && "code" in error && error.code === "EROFS";
	}
}
