import { ptr } from "bun:ffi";
import { check, cstring, errno, libc, SyscallError } from "./libc.ts";

/** mount(2) flags. Source: sys/mount.h. */
export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_REMOUNT = 32;
export const MS_BIND = 4096;
export const MS_REC = 16384;
export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;
export const MS_SHARED = 1 << 20;

export const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const EINVAL = 22;
const ENOENT = 2;

export interface MountRequest {
	readonly source: string;
	readonly target: string;
	/** Filesystem type; left out for bind mounts and propagation changes. */
	readonly type?: string;
	readonly flags?: number;
	/** Filesystem options, at most 4095 bytes (one page). */
	readonly data?: string;
}

/** Mounts, synchronously. Throws SyscallError. */
export function mount(request: MountRequest): void {
	const source = cstring(request.source);
	const target = cstring(request.target);
	const type = request.type === undefined ? null : cstring(request.type);
	const data = request.data === undefined ? null : cstring(request.data);
	if (data && data.length > 4096) throw new SyscallError(`mount ${request.target}: options longer than a page`, EINVAL);
	// mount -t TYPE -o DATA SOURCE TARGET
	const result = libc.mount(ptr(source), ptr(target), type && ptr(type), BigInt(request.flags ?? 0), data && ptr(data));
	check(result, `mount ${request.type ?? "bind"} on ${request.target}`);
}

/** Takes the topmost mount off `target`; false when nothing was mounted there. Throws SyscallError for anything else. */
export function unmount(target: string, flags: number = MNT_DETACH): boolean {
	const path = cstring(target);
	// umount --lazy TARGET
	if (libc.umount2(ptr(path), flags | UMOUNT_NOFOLLOW) === 0) return true;
	const code = errno();
	if (code === EINVAL || code === ENOENT) return false;
	throw new SyscallError(`umount ${target}`, code);
}
