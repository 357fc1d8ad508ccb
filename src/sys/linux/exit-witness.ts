import { ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { ExitEvents, exitCodeOf } from "./exit-events.ts";
import { libc } from "./libc.ts";
import { openPidfd } from "./pidfd.ts";

/** _IOWR(0xff, 11, struct pidfd_info of 64 bytes) */
const PIDFD_GET_INFO = 0xc040_ff0bn;
const PIDFD_INFO_BYTES = 64;
const PIDFD_INFO_EXIT = 1n << 3n;
const EXIT_STATUS_AT = 60;
/** First Linux whose pidfds tell the exit status of what they stand for, also once it has been reaped. */
const TELLING_LINUX = [6, 15] as const;

/** Learns the exit codes of processes that are not our children: others reap them. */
export class ExitWitness implements Disposable {
	private readonly pidfds = new Map<number, number>();

	/** @param events asked in place of pidfds */
	constructor(private readonly events?: ExitEvents) {}

	/** To be called while it lives; nothing happens for one that is gone, or where the kernel has no means. */
	watch(pid: number): void {
		if (this.pidfds.has(pid)) return;
		try {
			this.pidfds.set(pid, openPidfd(pid));
			this.events?.watch(pid);
		} catch {
			// its code stays unknown
		}
	}

	/** Its exit code, 128 + n for signal n; undefined when it lives, was not watched, or nobody told. It is watched no more. */
	take(pid: number): number | undefined {
		const pidfd = this.pidfds.get(pid);
		if (pidfd === undefined) return undefined;
		const status = this.events ? undefined : statusByPidfd(pidfd);
		libc.close(pidfd);
		this.pidfds.delete(pid);
		const told = this.events?.take(pid);
		if (told !== undefined) return told;
		const last = status ?? statusOfZombie(pid);
		return last === undefined ? undefined : exitCodeOf(last);
	}

	[Symbol.dispose](): void {
		for (const pidfd of this.pidfds.values()) libc.close(pidfd);
		this.pidfds.clear();
		this.events?.[Symbol.dispose]();
	}
}

/** What this kernel needs besides pidfds. */
export function exitEventsIfNeeded(): ExitEvents | undefined {
	return pidfdsTell(release()) ? undefined : new ExitEvents();
}

/** @param linux as uname -r gives it */
export function pidfdsTell(linux: string): boolean {
	const [major = 0, minor = 0] = linux.split(".").map(Number);
	return major > TELLING_LINUX[0] || (major === TELLING_LINUX[0] && minor >= TELLING_LINUX[1]);
}

/** As wait(2) gives it; undefined while it lives, is not reaped, or when this kernel does not tell. */
function statusByPidfd(pidfd: number): number | undefined {
	const info = Buffer.alloc(PIDFD_INFO_BYTES);
	info.writeBigUInt64LE(PIDFD_INFO_EXIT);
	if (libc.ioctl(pidfd, PIDFD_GET_INFO, ptr(info)) < 0) return undefined;
	return (info.readBigUInt64LE() & PIDFD_INFO_EXIT) === 0n ? undefined : info.readInt32LE(EXIT_STATUS_AT);
}

/** Field 52 of /proc/PID/stat, which is true of one that has ended and is not reaped. */
function statusOfZombie(pid: number): number | undefined {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		return fields[0] === "Z" ? Number(fields[49]) : undefined;
	} catch {
		return undefined;
	}
}
