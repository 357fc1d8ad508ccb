import { dlopen, type Pointer, ptr, read } from "bun:ffi";

/**
 * The libc calls the engine makes, bound once. Each returns -1 with errno set on failure; `check` turns that into a SyscallError.
 * Blocking calls do not belong here: everything runs on the event loop's thread.
 */
const { symbols } = dlopen("libc.so.6", {
	__errno_location: { args: [], returns: "ptr" },
	syscall: { args: ["i64", "u64", "u64", "u64", "u64", "u64", "u64"], returns: "i64" },
	mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
	madvise: { args: ["u64", "u64", "i32"], returns: "i32" },
	umount2: { args: ["ptr", "i32"], returns: "i32" },
	unshare: { args: ["i32"], returns: "i32" },
	setns: { args: ["i32", "i32"], returns: "i32" },
	prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
	socket: { args: ["i32", "i32", "i32"], returns: "i32" },
	bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
	connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
	listen: { args: ["i32", "i32"], returns: "i32" },
	accept4: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
	sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
	recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
	recvmsg: { args: ["i32", "ptr", "i32"], returns: "i64" },
	sendmsg: { args: ["i32", "ptr", "i32"], returns: "i64" },
	setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
	getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
	open: { args: ["ptr", "i32", "u32"], returns: "i32" },
	openat: { args: ["i32", "ptr", "i32", "u32"], returns: "i32" },
	close: { args: ["i32"], returns: "i32" },
	pipe2: { args: ["ptr", "i32"], returns: "i32" },
	dup3: { args: ["i32", "i32", "i32"], returns: "i32" },
	flock: { args: ["i32", "i32"], returns: "i32" },
	fcntl: { args: ["i32", "i32", "u64"], returns: "i32" },
	ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
	read: { args: ["i32", "ptr", "u64"], returns: "i64" },
	write: { args: ["i32", "ptr", "u64"], returns: "i64" },
	mkfifo: { args: ["ptr", "u32"], returns: "i32" },
	mknodat: { args: ["i32", "ptr", "u32", "u64"], returns: "i32" },
	mkdirat: { args: ["i32", "ptr", "u32"], returns: "i32" },
	symlinkat: { args: ["ptr", "i32", "ptr"], returns: "i32" },
	linkat: { args: ["i32", "ptr", "i32", "ptr", "i32"], returns: "i32" },
	renameat: { args: ["i32", "ptr", "i32", "ptr"], returns: "i32" },
	unlinkat: { args: ["i32", "ptr", "i32"], returns: "i32" },
	fchownat: { args: ["i32", "ptr", "u32", "u32", "i32"], returns: "i32" },
	fchmodat: { args: ["i32", "ptr", "u32", "i32"], returns: "i32" },
	fchown: { args: ["i32", "u32", "u32"], returns: "i32" },
	fchmod: { args: ["i32", "u32"], returns: "i32" },
	futimens: { args: ["i32", "ptr"], returns: "i32" },
	utimensat: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
	fsetxattr: { args: ["i32", "ptr", "ptr", "u64", "i32"], returns: "i32" },
	setxattr: { args: ["ptr", "ptr", "ptr", "u64", "i32"], returns: "i32" },
	lsetxattr: { args: ["ptr", "ptr", "ptr", "u64", "i32"], returns: "i32" },
	llistxattr: { args: ["ptr", "ptr", "u64"], returns: "i64" },
	lgetxattr: { args: ["ptr", "ptr", "ptr", "u64"], returns: "i64" },
	memfd_create: { args: ["ptr", "u32"], returns: "i32" },
	sched_setscheduler: { args: ["i32", "i32", "ptr"], returns: "i32" },
	setpriority: { args: ["i32", "u32", "i32"], returns: "i32" },
	waitid: { args: ["i32", "i32", "ptr", "i32"], returns: "i32" },
	kill: { args: ["i32", "i32"], returns: "i32" },
	execve: { args: ["ptr", "ptr", "ptr"], returns: "i32" },
	posix_spawn: { args: ["ptr", "ptr", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
	posix_spawn_file_actions_init: { args: ["ptr"], returns: "i32" },
	posix_spawn_file_actions_adddup2: { args: ["ptr", "i32", "i32"], returns: "i32" },
	posix_spawn_file_actions_addclosefrom_np: { args: ["ptr", "i32"], returns: "i32" },
	posix_spawn_file_actions_destroy: { args: ["ptr"], returns: "i32" },
	posix_spawnattr_init: { args: ["ptr"], returns: "i32" },
	posix_spawnattr_setflags: { args: ["ptr", "i16"], returns: "i32" },
	posix_spawnattr_setsigmask: { args: ["ptr", "ptr"], returns: "i32" },
	posix_spawnattr_setsigdefault: { args: ["ptr", "ptr"], returns: "i32" },
	posix_spawnattr_destroy: { args: ["ptr"], returns: "i32" },
});

export const libc = symbols;

/** A kernel call that failed: `code` is the errno's name where known (`EBUSY`), `errno` the number. */
export class SyscallError extends Error {
	override readonly name = "SyscallError";
	readonly code: string;

	constructor(
		readonly call: string,
		readonly errno: number,
	) {
		const code = ERRNO[errno] ?? `errno ${errno}`;
		super(`${call}: ${code}`);
		this.code = code;
	}
}

/** errno of the last libc call on this thread. Read it before any other FFI call. */
export function errno(): number {
	const location = symbols.__errno_location();
	return location === null ? 0 : read.i32(location);
}

/** The call's result, or a SyscallError named `call` (state the arguments that matter: `mount /x`). */
export function check(result: number | bigint, call: string): number {
	if (Number(result) < 0) throw new SyscallError(call, errno());
	return Number(result);
}

/** A NUL-terminated copy of `text` (a Buffer for names that may not be UTF-8). The caller keeps it alive over the call. */
export function cstring(text: string | Buffer): Buffer {
	if (text.includes("\0")) throw new SyscallError(`string with NUL byte: ${JSON.stringify(text.toString())}`, 22);
	return typeof text === "string" ? Buffer.from(`${text}\0`) : Buffer.concat([text, Buffer.alloc(1)]);
}

/** A `char *const argv[]`: keep `strings` and `table` alive over the call. */
export function cstringArray(values: readonly string[]): { table: BigUint64Array; strings: Buffer[] } {
	const strings = values.map(cstring);
	const table = new BigUint64Array(values.length + 1);
	strings.forEach((string, i) => {
		table[i] = BigInt(ptr(string));
	});
	return { table, strings };
}

export type { Pointer };

const ERRNO: Record<number, string> = {
	1: "EPERM",
	2: "ENOENT",
	3: "ESRCH",
	4: "EINTR",
	5: "EIO",
	9: "EBADF",
	10: "ECHILD",
	11: "EAGAIN",
	12: "ENOMEM",
	13: "EACCES",
	14: "EFAULT",
	16: "EBUSY",
	17: "EEXIST",
	18: "EXDEV",
	19: "ENODEV",
	20: "ENOTDIR",
	21: "EISDIR",
	22: "EINVAL",
	23: "ENFILE",
	24: "EMFILE",
	25: "ENOTTY",
	26: "ETXTBSY",
	28: "ENOSPC",
	30: "EROFS",
	31: "EMLINK",
	32: "EPIPE",
	36: "ENAMETOOLONG",
	38: "ENOSYS",
	39: "ENOTEMPTY",
	40: "ELOOP",
	61: "ENODATA",
	75: "EOVERFLOW",
	90: "EMSGSIZE",
	93: "EPROTONOSUPPORT",
	95: "EOPNOTSUPP",
	97: "EAFNOSUPPORT",
	98: "EADDRINUSE",
	99: "EADDRNOTAVAIL",
	100: "ENETDOWN",
	101: "ENETUNREACH",
	110: "ETIMEDOUT",
	111: "ECONNREFUSED",
	113: "EHOSTUNREACH",
	122: "EDQUOT",
};
