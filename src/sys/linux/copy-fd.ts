import { ptr } from "bun:ffi";
import { check, libc } from "./libc.ts";
import { openPidfd } from "./pidfd.ts";

const SYS_PIDFD_GETFD = 438n;
const TIOCGPTN = 0x8004_5430n;

/**
 * A second fd of a terminal's master that another process has open, closed on exec (Linux 5.6). Throws SyscallError when that process is gone, has no such
 * fd, or it is no master, and where we may not trace it.
 */
export function copyTerminal(pid: number, fd: number): number {
	const pidfd = openPidfd(pid);
	let copy: number;
	try {
		const args = [BigInt(pidfd), BigInt(fd), 0n, 0n, 0n, 0n] as const;
		copy = check(libc.syscall(SYS_PIDFD_GETFD, ...args), `pidfd_getfd ${pid} ${fd}`);
	} finally {
		libc.close(pidfd);
	}
	try {
		check(libc.ioctl(copy, TIOCGPTN, ptr(new Uint32Array(1))), "ioctl TIOCGPTN");
		return copy;
	} catch (error) {
		libc.close(copy);
		throw error;
	}
}
