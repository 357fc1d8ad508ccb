import { statSync } from "node:fs";
import { EngineError } from "../../../shared/errors.ts";
import { type AskedMount, byDepth } from "../mounts.ts";
import { MountedTree } from "./mounted-tree.ts";

/** What is mounted by us wherever the client mounts nothing there; the runtime works in them before the container is closed off. */
const SYSTEM_DIRECTORIES = ["/proc", "/dev", "/sys"];
/** Files that others put over the kernel's, as lxcfs. Source: runc, libcontainer/rootfs_linux.go. */
const PROC_FILES = new Set([
	...["cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo", "net/dev"],
	...["sys/kernel/ns_last_pid", "sys/crypto/fips_enabled"],
]);
/** major 1, minor 3. Source: linux, Documentation/admin-guide/devices.txt. */
const NULL_DEVICE = (1 << 8) | 3;

/**
 * The mounts at what their targets lead to inside the container, outer ones first: the runtime meets no link on its way. Refuses a start in which
 * links of a hostile image or volume would lead the runtime astray. crun before 1.30 and runc before 1.3.6 trust the
 * container's /dev: they make device nodes where a link leads on the host (CVE-2026-47766, CVE-2026-41579), make a file where /dev/console
 * leads (CVE-2026-88264), and give the process's output to what /dev/null is, with its owner (CVE-2026-88265). Errors are "invalid".
 * @param root the container's root directory, mounted
 * @param mounts all the client asked for, sources ready
 */
export function safeTargets(root: string, mounts: readonly AskedMount[]): AskedMount[] {
	const tree = new MountedTree(root);
	for (const path of SYSTEM_DIRECTORIES) {
		if (tree.stat(path)?.isDirectory() === false)
			throw new EngineError("invalid", `error preparing rootfs: ${path} of the container is not a directory`);
	}
	for (const path of SYSTEM_DIRECTORIES) tree.place(path, undefined);
	const placed = byDepth(mounts, ({ target }) => target).map((mount) => place(tree, mount));
	checkNullDevice(tree, placed);
	return placed;
}

function place(tree: MountedTree, mount: AskedMount): AskedMount {
	const { target, source, type } = mount;
	const path = tree.resolve(target);
	const refuse = (why: string) =>
		new EngineError("invalid", `error mounting "${source}" to rootfs at "${target}": ${why}`);
	// The runtime would not see that it has another's /dev before it.
	if (path === "/dev" && target !== "/dev") throw refuse("it leads to /dev");
	if (isWithin(path, "/proc") && !isProc(path, type === "bind" ? source : ""))
		throw refuse(`"${path}" cannot be mounted because it is inside /proc`);
	tree.place(path, type === "bind" ? source : undefined);
	return { ...mount, target: path };
}

/** Masks of the kernel's files are only masks on the kernel's files. */
function isProc(path: string, source: string): boolean {
	return isWithin(source, "/proc") || PROC_FILES.has(path.slice("/proc/".length));
}

/** The runtime points streams at it, and gives them to the container's user. */
function checkNullDevice(tree: MountedTree, mounts: readonly AskedMount[]): void {
	if (!tree.isFromHost("/dev/null")) return;
	const file = mounts.find(({ target }) => target === "/dev/null");
	const stat = file ? statSync(file.source, { throwIfNoEntry: false }) : tree.stat("/dev/null");
	if (stat?.isCharacterDevice() && stat.rdev === NULL_DEVICE) return;
	throw new EngineError("invalid", "error preparing rootfs: container's /dev/null is invalid");
}

function isWithin(path: string, directory: string): boolean {
	return path === directory || path.startsWith(`${directory}/`);
}
