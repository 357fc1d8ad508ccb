import { ptr } from "bun:ffi";
import { closeSync, fstatSync, readFileSync } from "node:fs";
import { check, cstring, errno, libc, SyscallError } from "./libc.ts";

const SYS_OPENAT2 = 437n;
const RESOLVE_NO_MAGICLINKS = 0x02n;
const RESOLVE_IN_ROOT = 0x10n;
const O_RDONLY = 0n;
const O_NONBLOCK = 0o4000n;
const O_CLOEXEC = 0o2000000n;
const ENOENT = 2;
const ENOTDIR = 20;
const ELOOP = 40;
/** passwd and group files are small: a bigger one is an attack on our memory. */
const MAX_SIZE = 8 << 20;

/** The text of a regular file inside `root`, every symlink resolved as if `root` were `/`; undefined when there is none. Throws SyscallError else. */
export function readInRoot(root: string, path: string): string | undefined {
	// exec {fd}< <(openat2 root path RESOLVE_IN_ROOT)
	const rootPath = cstring(root);
	const directory = check(libc.open(ptr(rootPath), 0o10000000 | Number(O_CLOEXEC), 0), `open ${root}`);
	try {
		const how = new BigUint64Array([O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0n, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS]);
		const name = cstring(path);
		const fd = Number(libc.syscall(SYS_OPENAT2, BigInt(directory), BigInt(ptr(name)), BigInt(ptr(how)), 24n, 0n, 0n));
		if (fd < 0) {
			const code = errno();
			if (code === ENOENT || code === ENOTDIR || code === ELOOP) return undefined;
			throw new SyscallError(`openat2 ${path} in ${root}`, code);
		}
		return readSmall(fd);
	} finally {
		closeSync(directory);
	}
}

function readSmall(fd: number): string | undefined {
	try {
		const stat = fstatSync(fd);
		return stat.isFile() && stat.size <= MAX_SIZE ? readFileSync(fd, "utf8") : undefined;
	} finally {
		closeSync(fd);
	}
}
