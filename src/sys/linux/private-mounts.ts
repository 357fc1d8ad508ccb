import { ptr } from "bun:ffi";
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { check, cstring, libc, SyscallError } from "./libc.ts";
import { MS_BIND, MS_PRIVATE, MS_RDONLY, MS_REC, MS_REMOUNT, mount } from "./mount.ts";
import { O_CLOEXEC, O_DIRECTORY, O_PATH, openInRoot } from "./openat2.ts";

const CLONE_NEWNS = 0x20000;

/** A bind mount on top of a root; `target` is a path inside it. */
export interface BindOnTop {
	readonly source: string;
	/** A path inside the source, where only that is meant. */
	readonly subpath?: string;
	readonly target: string;
	readonly readonly: boolean;
	readonly recursive: boolean;
}

/** A directory tree with mounts on it that only the holder of these fds can reach. */
export interface PrivateMounts {
	/** O_PATH fd of the root directory. */
	readonly root: number;
	/** Lets go: the kernel takes the mounts down. */
	close(): void;
}

/**
 * Binds `mounts` over the tree at `root` in a mount namespace of its own, so that neither the host nor a container sees them. Missing targets
 * are made, never through a link that leads out of the root. Synchronous, about a millisecond; the calling thread is back in its namespace afterwards.
 * Throws SyscallError.
 */
export function mountPrivately(root: string, mounts: readonly BindOnTop[]): PrivateMounts {
	const home = openSync("/proc/thread-self/ns/mnt", constants.O_RDONLY);
	const cwd = process.cwd();
	const opened: number[] = [];
	try {
		// unshare --mount --propagation private; the thread has a root and working directory of its own from now on
		check(libc.unshare(CLONE_NEWNS), "unshare --mount");
		try {
			mount({ source: "none", target: "/", flags: MS_REC | MS_PRIVATE });
			opened.push(openSync(root, O_PATH | O_DIRECTORY));
			for (const one of mounts) bindOver(opened[0] ?? -1, one);
			// The namespace, and with it the mounts, lives as long as this fd.
			opened.push(openSync("/proc/thread-self/ns/mnt", constants.O_RDONLY));
		} finally {
			comeBack(home, cwd);
		}
	} catch (error) {
		for (const fd of opened) closeSync(fd);
		throw error;
	} finally {
		closeSync(home);
	}
	const [rootFd = -1, namespace = -1] = opened;
	return {
		root: rootFd,
		close: () => {
			closeSync(rootFd);
			closeSync(namespace);
		},
	};
}

function bindOver(root: number, { source, subpath, target, readonly, recursive }: BindOnTop): void {
	const from = openSource(source, subpath);
	let at: number | undefined;
	try {
		at = openTarget(root, target, fstatSync(from).isDirectory());
		// mount --rbind SOURCE TARGET
		const flags = MS_BIND | (recursive ? MS_REC : 0);
		mount({ source: `/proc/thread-self/fd/${from}`, target: `/proc/thread-self/fd/${at}`, flags });
	} finally {
		closeSync(from);
		if (at !== undefined) closeSync(at);
	}
	if (!readonly) return;
	const mounted = openInRoot(root, target, O_PATH);
	try {
		// mount -o remount,bind,ro TARGET
		mount({
			source: "none",
			target: `/proc/thread-self/fd/${mounted}`,
			flags: MS_REMOUNT | MS_BIND | MS_RDONLY,
		});
	} finally {
		closeSync(mounted);
	}
}

function openSource(source: string, subpath: string | undefined): number {
	const whole = openSync(source, O_PATH);
	if (subpath === undefined) return whole;
	try {
		return openInRoot(whole, subpath, O_PATH);
	} finally {
		closeSync(whole);
	}
}

/** An O_PATH fd of the place to mount on, made where it is missing. */
function openTarget(root: number, target: string, directory: boolean): number {
	try {
		return openInRoot(root, target, O_PATH);
	} catch (error) {
		if (!(error instanceof SyscallError) || error.code !== "ENOENT") throw error;
	}
	const parts = target.split("/").filter(Boolean);
	const base = cstring(parts.at(-1) ?? "");
	const above = openTarget(root, `/${parts.slice(0, -1).join("/")}`, true);
	try {
		if (directory) check(libc.mkdirat(above, ptr(base), 0o755), `mkdir ${target}`);
		else {
			const { O_CREAT, O_EXCL, O_WRONLY } = constants;
			const flags = O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC;
			closeSync(check(libc.openat(above, ptr(base), flags, 0o644), `touch ${target}`));
		}
	} finally {
		closeSync(above);
	}
	return openInRoot(root, target, O_PATH);
}

/** A thread that stays in another mount namespace would lead the engine astray: nothing may go on then. */
function comeBack(home: number, cwd: string): void {
	if (libc.setns(home, CLONE_NEWNS) < 0) {
		process.stderr.write("cannot return to the engine's mount namespace\n");
		process.abort();
	}
	process.chdir(cwd);
}
