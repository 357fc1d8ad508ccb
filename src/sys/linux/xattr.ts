import { ptr } from "bun:ffi";
import { check, cstring, errno, libc, SyscallError } from "./libc.ts";

const ENODATA = 61;
const ERANGE = 34;

/** Sets an extended attribute on `path` itself, never on what a link points at. Throws SyscallError. */
export function setXattr(path: string, name: string, value: Uint8Array): void {
	const target = cstring(path);
	const key = cstring(name);
	const bytes = value.length === 0 ? Buffer.alloc(1) : value;
	// setfattr -h -n NAME -v VALUE PATH
	check(libc.lsetxattr(ptr(target), ptr(key), ptr(bytes), value.length, 0), `setxattr ${name} on ${path}`);
}

/** The value of an extended attribute of `path` itself (up to 64 KiB); undefined when it has none. Throws SyscallError. */
export function getXattr(path: string, name: string): Uint8Array | undefined {
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
