import { ptr } from "bun:ffi";
import { check, cstring, errno, libc, SyscallError } from "./libc.ts";

const ENODATA = 61;
const ERANGE = 34;
const EOPNOTSUPP = 95;

/** Sets an extended attribute on `path` itself, not on what a link points at (or on that, with "follow"). Throws SyscallError. */
export function setXattr(path: string | Buffer, name: string, value: Uint8Array, links?: "follow"): void {
	const target = cstring(path);
	const key = cstring(name);
	const bytes = value.length === 0 ? Buffer.alloc(1) : value;
	// setfattr -h -n NAME -v VALUE PATH
	const set = links === "follow" ? libc.setxattr : libc.lsetxattr;
	check(set(ptr(target), ptr(key), ptr(bytes), value.length, 0), `setxattr ${name} on ${path}`);
}

/** The value of an extended attribute of `path` itself (up to 64 KiB); undefined when it has none. Throws SyscallError. */
export function getXattr(path: string | Buffer, name: string): Uint8Array | undefined {
	const target = cstring(path);
	const key = cstring(name);
	const value = Buffer.alloc(65536);
	// getfattr -h -n NAME PATH
	const length = Number(libc.lgetxattr(ptr(target), ptr(key), ptr(value), value.length));
	if (length >= 0) return value.subarray(0, length);
	const code = errno();
	if (code === ENODATA || code === ERANGE) return undefined;
	throw new SyscallError(`getxattr ${name} on ${path}`, code);
}

/** Names of the extended attributes of `path` itself. Throws SyscallError. */
export function listXattrs(path: string | Buffer): string[] {
	const target = cstring(path);
	const names = Buffer.alloc(65536);
	// getfattr -h -m - PATH
	const length = Number(libc.llistxattr(ptr(target), ptr(names), names.length));
	if (length < 0 && errno() === EOPNOTSUPP) return [];
	return names
		.toString("latin1", 0, check(length, `listxattr ${path}`))
		.split("\0")
		.filter(Boolean);
}
