import { ptr } from "bun:ffi";
import { readFileSync, writeFileSync } from "node:fs";
import { check, cstring, cstringArray, errno, libc, SyscallError } from "./libc.ts";

export interface SpawnOptions {
	/** Path of the executable. For a memfd `/proc/PID/fd/N`: in the child `/proc/self/fd/N` is closed by then. */
	readonly file: string;
	readonly argv: readonly string[];
	readonly env: readonly string[];
	/** Become fds 0, 1 and 2; nothing else of ours is inherited. Each must be 3 or more, or in its own place. */
	readonly stdio: readonly [number, number, number];
	/** Leads a session of its own, so that no signal to our terminal or process group reaches it. */
	readonly session?: boolean;
	/** Its own in place of ours. */
	readonly oomScoreAdj?: number;
}

const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const SETSID = 0x80;
/** sizeof on glibc, x86_64 and arm64, rounded up. */
const FILE_ACTIONS_SIZE = 128;
const ATTR_SIZE = 384;
const SIGSET_SIZE = 128;

/**
 * Starts a program with exactly three fds, default signal dispositions and no blocked signal; returns its pid at once. The caller reaps it.
 * Throws SyscallError when it cannot be executed.
 */
export function spawnProcess(options: SpawnOptions): number {
	const { oomScoreAdj } = options;
	return oomScoreAdj === undefined ? spawn(options) : withOomScore(oomScoreAdj, () => spawn(options));
}

/** A child inherits it; what runs here between is `make`, which is synchronous. Throws as writing it does: below the lowest takes CAP_SYS_RESOURCE. */
function withOomScore<T>(score: number, make: () => T): T {
	const file = "/proc/self/oom_score_adj";
	const own = readFileSync(file, "latin1").trim();
	if (own === String(score)) return make();
	// echo 100 >/proc/self/oom_score_adj
	writeFileSync(file, String(score));
	try {
		return make();
	} finally {
		writeFileSync(file, own);
	}
}

function spawn(options: SpawnOptions): number {
	const actions = Buffer.alloc(FILE_ACTIONS_SIZE);
	const attr = Buffer.alloc(ATTR_SIZE);
	const none = Buffer.alloc(SIGSET_SIZE);
	// Signals 1 to 64 but SIGKILL and SIGSTOP, whose disposition cannot be set. Named here, 32 and 33 are not left ignored by glibc, whose own they are.
	const all = Buffer.alloc(SIGSET_SIZE);
	all.fill(0xff, 0, 8);
	all.writeUInt32LE(0xffff_ffff - (1 << 8) - (1 << 18));
	libc.posix_spawn_file_actions_init(ptr(actions));
	libc.posix_spawnattr_init(ptr(attr));
	try {
		options.stdio.forEach((fd, target) => {
			libc.posix_spawn_file_actions_adddup2(ptr(actions), fd, target);
		});
		libc.posix_spawn_file_actions_addclosefrom_np(ptr(actions), 3);
		libc.posix_spawnattr_setsigmask(ptr(attr), ptr(none));
		libc.posix_spawnattr_setsigdefault(ptr(attr), ptr(all));
		libc.posix_spawnattr_setflags(ptr(attr), SETSIGDEF | SETSIGMASK | (options.session ? SETSID : 0));
		const pid = new Int32Array(1);
		const argv = cstringArray(options.argv);
		const env = cstringArray(options.env);
		const file = cstring(options.file);
		// (exec FILE ARGV <&in >&out 2>&err) &
		const failed = libc.posix_spawn(ptr(pid), ptr(file), ptr(actions), ptr(attr), ptr(argv.table), ptr(env.table));
		keep(argv.strings, env.strings);
		if (failed !== 0) throw new SyscallError(`posix_spawn ${options.file}`, failed);
		return pid[0] ?? -1;
	} finally {
		libc.posix_spawn_file_actions_destroy(ptr(actions));
		libc.posix_spawnattr_destroy(ptr(attr));
	}
}

/** Reading the buffers after the call keeps the collector from freeing them before it. */
function keep(...buffers: Buffer[][]): number {
	return buffers.reduce((sum, list) => sum + list.length, 0);
}

export interface Reaped {
	readonly pid: number;
	/** 0..255; 128 + n for signal n. */
	readonly exitCode: number;
}

const P_ALL = 0;
const P_PID = 1;
const WNOHANG = 1;
const WEXITED = 4;
const CLD_EXITED = 1;
const EINTR = 4;
const ECHILD = 10;
/** siginfo_t of a child: si_code at 8, si_pid at 16, si_status at 24. */
const SIGINFO_SIZE = 128;

/** Takes the exit status of one ended child (any, or the one named), or undefined when none has ended. Never blocks. */
export function reapChild(pid?: number): Reaped | undefined {
	const info = Buffer.alloc(SIGINFO_SIZE);
	for (;;) {
		// wait -n
		const result = libc.waitid(pid === undefined ? P_ALL : P_PID, pid ?? 0, ptr(info), WEXITED | WNOHANG);
		if (result === 0) break;
		const failed = errno();
		if (failed === ECHILD) return undefined;
		if (failed !== EINTR) throw new SyscallError("waitid", failed);
	}
	const found = info.readInt32LE(16);
	if (found === 0) return undefined;
	const status = info.readInt32LE(24);
	return { pid: found, exitCode: info.readInt32LE(8) === CLD_EXITED ? status : 128 + status };
}

const PR_SET_CHILD_SUBREAPER = 36;

/** From now on orphaned descendants become children of this process, which must reap them. */
export function becomeSubreaper(): void {
	check(libc.prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n), "prctl PR_SET_CHILD_SUBREAPER");
}

/** Sends a signal; false when there is no such process. The caller knows that the pid is still its own: an unreaped child, or one by pidfd. */
export function killProcess(pid: number, signal: number): boolean {
	if (pid <= 1) throw new SyscallError(`kill ${pid}`, 1);
	if (libc.kill(pid, signal) === 0) return true;
	const failed = errno();
	if (failed === 3) return false;
	throw new SyscallError(`kill ${pid}`, failed);
}

/** Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat): with the pid it names one process for good. Undefined when gone or a zombie. */
export function processStartTime(pid: number): string | undefined {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
	} catch {
		return undefined;
	}
}

const F_DUPFD_CLOEXEC = 1030;

/** A second fd of the same open file, closed on exec. */
export function duplicateFd(fd: number): number {
	return check(libc.fcntl(fd, F_DUPFD_CLOEXEC, 3n), `fcntl F_DUPFD_CLOEXEC ${fd}`);
}
