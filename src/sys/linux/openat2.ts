import { ptr } from "bun:ffi";
import { closeSync, openSync } from "node:fs";
import { check, cstring, errno, libc } from "./libc.ts";

export const O_PATH = 0o10000000;
export const O_DIRECTORY = 0o200000;
export const O_CLOEXEC = 0o2000000;
const RESOLVE_NO_MAGICLINKS = 0x02n;
const RESOLVE_BENEATH = 0x08n;
const RESOLVE_IN_ROOT = 0x10n;
/** The same number on every architecture. Source: asm-generic/unistd.h. */
const SYS_OPENAT2 = 437;
const EAGAIN = 11;
const MOST_TRIES = 1000;

/**
 * Opens `path` as if `root` (a directory fd) were the root of the filesystem: absolute links and `..` stay inside it. Returns an fd that the
 * caller closes. Throws SyscallError.
 */
export function openInRoot(root: number, path: string | Buffer, flags: number, mode = 0): number {
	const name = cstring(path.length === 0 ? "." : path);
	const how = new BigUint64Array([BigInt(flags | O_CLOEXEC), BigInt(mode), RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS]);
	return check(openAgain(root, name, how), `openat2 ${path}`);
}

/**
 * Opens `path` below the directory `root` as an O_PATH fd; links inside it are followed, one that leads out of it, and `..` above it, are refused
 * with EXDEV. The caller closes the fd. Throws SyscallError.
 */
export function openBeneath(root: string, path: string): number {
	const directory = openSync(root, O_PATH | O_DIRECTORY);
	try {
		const name = cstring(path);
		const how = new BigUint64Array([BigInt(O_PATH | O_CLOEXEC), 0n, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS]);
		return check(openAgain(directory, name, how), `openat2 ${path}`);
	} finally {
		closeSync(directory);
	}
}

/** The kernel gives up with EAGAIN when anything on the machine was renamed or mounted while it went through `..`: openat2(2) says to try again. */
function openAgain(directory: number, name: Buffer, how: BigUint64Array): number {
	for (let tries = 0; ; tries++) {
		const fd = Number(libc.syscall(SYS_OPENAT2, directory, ptr(name), ptr(how), how.byteLength, 0, 0));
		if (fd >= 0 || errno() !== EAGAIN || tries === MOST_TRIES) return fd;
	}
}
