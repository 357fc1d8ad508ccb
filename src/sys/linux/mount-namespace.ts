import { ptr } from "bun:ffi";
import { closeSync, openSync, readFileSync, readlinkSync } from "node:fs";
import { check, cstring, cstringArray, libc } from "./libc.ts";
import { processStartTime } from "./process.ts";

const CLONE_FS = 0x200;
const CLONE_NEWNS = 0x20000;
const MS_REC = 0x4000n;
const MS_SLAVE = 0x80000n;
const MNT_DETACH = 2;
const MARK = "FOREDECK_MOUNT_NAMESPACE";

/** Where cgroup2 is mounted beside v1 controllers (systemd's "hybrid" layout, which crun refuses), or undefined. */
export function hybridUnifiedMount(mounts: string): string | undefined {
	const rows = mounts.split("\n").map((line) => line.split(" "));
	const v1 = rows.some(([, , type, options]) => type === "cgroup" && !options?.includes("name="));
	const v2 = rows.find(([, at, type]) => type === "cgroup2" && at?.startsWith("/sys/fs/cgroup/"));
	return v1 ? v2?.[1] : undefined;
}

/**
 * On a machine with the hybrid cgroup layout, puts this process into the engine's own mount namespace, in which cgroup2 is not mounted: that of
 * the living supervisor, or a new one that the supervisor will inherit. The process executes itself again (same pid, arguments and fds
 * 0..2), because only so do all its threads move; the second time the call returns at once. Elsewhere nothing happens. Mounts of the
 * host go on arriving (slave); ours stay inside. Call it first thing in a daemon, before it opens anything.
 * @param supervisor what the supervisor wrote of itself: `PID STARTTIME`
 */
export function enterMountNamespace(supervisor: string | undefined): void {
	if (process.env[MARK] === readlinkSync("/proc/self/ns/mnt")) return;
	const [pid = "", startTime] = supervisor?.trim().split(" ") ?? [];
	const alive = startTime !== undefined && processStartTime(Number(pid)) === startTime;
	const unified = hybridUnifiedMount(readFileSync("/proc/self/mounts", "utf8"));
	if (alive && readlinkSync(`/proc/${pid}/ns/mnt`) !== readlinkSync("/proc/self/ns/mnt")) joinNamespace(pid);
	else if (unified !== undefined) separate(unified);
	else return;
	executeAgain();
}

function separate(unified: string): void {
	// unshare --mount --propagation slave; umount -l /sys/fs/cgroup/unified
	check(libc.unshare(CLONE_NEWNS), "unshare CLONE_NEWNS");
	check(libc.mount(null, ptr(cstring("/")), null, MS_REC | MS_SLAVE, null), "mount --make-rslave /");
	check(libc.umount2(ptr(cstring(unified)), MNT_DETACH), `umount ${unified}`);
}

function joinNamespace(pid: string): void {
	const fd = openSync(`/proc/${pid}/ns/mnt`, "r");
	const cwd = process.cwd();
	try {
		// nsenter --mount=/proc/PID/ns/mnt; a thread that shares its root with others may not
		check(libc.unshare(CLONE_FS), "unshare CLONE_FS");
		check(libc.setns(fd, CLONE_NEWNS), `setns /proc/${pid}/ns/mnt`);
	} finally {
		closeSync(fd);
	}
	process.chdir(cwd);
}

function executeAgain(): never {
	// readlink of the thread: /proc/self names the process, whose leader has moved just now
	const namespace = readlinkSync("/proc/thread-self/ns/mnt");
	const args = readFileSync("/proc/self/cmdline", "utf8").split("\0").slice(0, -1);
	const env = Object.entries({ ...process.env, [MARK]: namespace }).map(([name, value]) => `${name}=${value ?? ""}`);
	const argv = cstringArray(args);
	const environment = cstringArray(env);
	const file = cstring(readlinkSync("/proc/self/exe"));
	check(libc.execve(ptr(file), ptr(argv.table), ptr(environment.table)), "execve self");
	throw new Error(`execve returned ${argv.strings.length + environment.strings.length}`);
}
