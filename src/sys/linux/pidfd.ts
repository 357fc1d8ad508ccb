import { check, libc } from "./libc.ts";
import { processStartTime } from "./process.ts";

const SYS_PIDFD_OPEN = 434n;

/** A pidfd, closed on exec. Throws SyscallError (ESRCH when the process is gone). */
export function openPidfd(pid: number): number {
	return check(libc.syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n, 0n, 0n, 0n, 0n), `pidfd_open ${pid}`);
}

/**
 * Calls `onExit` once when a process that is not our child has ended; at once when it is gone or its pid belongs to another by now.
 * @param startTime as `processStartTime` gave it
 */
export function watchExit(pid: number, startTime: string, onExit: () => void): void {
	let fd: number;
	try {
		fd = openPidfd(pid);
	} catch {
		queueMicrotask(onExit);
		return;
	}
	// Order matters: the pidfd first, then the check that it is the right process.
	if (processStartTime(pid) === startTime) {
		onReadable(fd, onExit);
		return;
	}
	libc.close(fd);
	queueMicrotask(onExit);
}

/** Calls `onExit` once when our child has ended, before it is reaped. Throws SyscallError when it is no process. */
export function watchChild(pid: number, onExit: () => void): void {
	onReadable(openPidfd(pid), onExit);
}

/** A pidfd becomes readable at exit. Bun's poller then tries to receive, which fails on what is no socket, and closes it: that is the event. */
function onReadable(pidfd: number, callback: () => void): void {
	let told = false;
	const tell = () => {
		if (told) return;
		told = true;
		callback();
	};
	const socket = { data() {}, open() {}, close: tell, error: tell, connectError: tell };
	Bun.connect({ fd: pidfd, socket } as unknown as Parameters<typeof Bun.connect>[0]).catch(tell);
}
