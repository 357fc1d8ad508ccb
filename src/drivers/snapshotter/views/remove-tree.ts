import { ptr } from "bun:ffi";
import { closeSync, constants, readdirSync } from "node:fs";
import { check, cstring, errno, libc, SyscallError } from "../../../sys/linux/libc.ts";
import { O_CLOEXEC, O_DIRECTORY } from "../../../sys/linux/openat2.ts";

const AT_REMOVEDIR = 0x200;
const ENOENT = 2;
const EISDIR = 21;
const FLAGS = constants.O_RDONLY | O_DIRECTORY | constants.O_NOFOLLOW | O_CLOEXEC;

/**
 * `rm -rf NAME` below the directory `parent` (an fd), by fds alone: a name that somebody swaps for a link meanwhile is removed as a link.
 * Throws SyscallError.
 */
export function removeTree(parent: number, name: Buffer): void {
	const path = cstring(name);
	// unlink NAME
	if (libc.unlinkat(parent, ptr(path), 0) === 0) return;
	const code = errno();
	if (code === ENOENT) return;
	if (code !== EISDIR) throw new SyscallError(`unlinkat ${name}`, code);
	const fd = check(libc.openat(parent, ptr(path), FLAGS, 0), `open ${name}`);
	try {
		for (const entry of readdirSync(`/proc/self/fd/${fd}`, { encoding: "buffer" })) removeTree(fd, entry);
	} finally {
		closeSync(fd);
	}
	// rmdir NAME
	check(libc.unlinkat(parent, ptr(path), AT_REMOVEDIR), `unlinkat ${name}`);
}
