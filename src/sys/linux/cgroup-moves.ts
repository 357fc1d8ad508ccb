import { ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import { check, cstring, libc } from "./libc.ts";

/** The same numbers on every architecture (asm-generic). */
const SYS_FSOPEN = 430n;
const SYS_FSCONFIG = 431n;
const SYS_FSMOUNT = 432n;
const CLOEXEC = 1n;
const FSCONFIG_SET_FLAG = 0n;
const FSCONFIG_SET_STRING = 1n;
const FSCONFIG_CMD_CREATE = 6n;
/** Shared by all instances: the kernel keeps one hierarchy of a name. */
const HIERARCHY = "foredeck";

/** Whether cgroup v1 controllers are in use. @param mounts text of /proc/self/mounts */
export function hasV1Controllers(mounts: string): boolean {
	return mounts.split("\n").some((line) => {
		const [, , type, options = ""] = line.split(" ");
		return type === "cgroup" && !options.includes("name=");
	});
}

/**
 * Makes moving a process into a cgroup fast: by default the first move after a pause waits for an RCU grace period (15 ms and more, in each
 * start and each exec), which the option `favordynmods` trades against a little work in each fork. The option counts for the whole kernel as long
 * as one hierarchy has it, so this opens an empty named v1 hierarchy that is mounted nowhere and ends with the process.
 *
 * Only where v1 controllers are in use: on a cgroup v2 machine a second line in /proc/PID/cgroup would confuse programs that look for their
 * limits there, and crun starts processes in their cgroup (CLONE_INTO_CGROUP) without a move. Throws SyscallError (Linux before 6.0: EINVAL).
 */
export function favorCgroupMoves(): void {
	if (!hasV1Controllers(readFileSync("/proc/self/mounts", "utf8"))) return;
	// mount -t cgroup -o none,name=foredeck,favordynmods cgroup MOUNTPOINT, without the mount point
	const type = cstring("cgroup");
	const context = check(libc.syscall(SYS_FSOPEN, BigInt(ptr(type)), CLOEXEC, 0n, 0n, 0n, 0n), "fsopen cgroup");
	try {
		configure(context, FSCONFIG_SET_FLAG, "none");
		configure(context, FSCONFIG_SET_STRING, "name", HIERARCHY);
		configure(context, FSCONFIG_SET_FLAG, "favordynmods");
		configure(context, FSCONFIG_CMD_CREATE);
		check(libc.syscall(SYS_FSMOUNT, BigInt(context), CLOEXEC, 0n, 0n, 0n, 0n), "fsmount cgroup");
	} finally {
		libc.close(context);
	}
}

function configure(context: number, command: bigint, key?: string, value?: string): void {
	const keyBytes = key === undefined ? undefined : cstring(key);
	const valueBytes = value === undefined ? undefined : cstring(value);
	const address = (bytes: Uint8Array | undefined) => (bytes === undefined ? 0n : BigInt(ptr(bytes)));
	check(
		libc.syscall(SYS_FSCONFIG, BigInt(context), command, address(keyBytes), address(valueBytes), 0n, 0n),
		`fsconfig cgroup ${key ?? "create"}`,
	);
}
