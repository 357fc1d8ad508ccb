import { ptr } from "bun:ffi";
import { closeSync, mkdirSync, openSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { check, cstring, libc, SyscallError } from "./libc.ts";

const CLONE_NEWNET = 0x40000000;
const MS_BIND = 4096;
const MNT_DETACH = 2;
const O_CLOEXEC = 0o2000000;
const ENOENT = 2;
const EINVAL = 22;

/** The calling thread's own namespace; /proc/self would be that of the first thread. */
const OWN_NETNS = "/proc/thread-self/ns/net";

/**
 * Makes a network namespace that lives as long as its file, and runs `fn` inside it. Synchronous, and back in the caller's namespace afterwards;
 * a failure leaves no file.
 */
export function createNetns<T>(path: string, fn: () => T): T {
	// ip netns add
	mkdirSync(dirname(path), { recursive: true });
	writeFileSync(path, "", { flag: "wx", mode: 0o444 });
	const home = openNetns(OWN_NETNS);
	try {
		check(libc.unshare(CLONE_NEWNET), "unshare --net");
		// mount --bind /proc/thread-self/ns/net PATH
		check(libc.mount(ptr(cstring(OWN_NETNS)), ptr(cstring(path)), null, MS_BIND, null), `mount --bind ${path}`);
		return fn();
	} catch (error) {
		removeNetns(path);
		throw error;
	} finally {
		comeBack(home);
	}
}

/** Runs `fn` inside the namespace: `nsenter --net=PATH`. `fn` must be synchronous; sockets that it opens stay there. */
export function withNetns<T>(path: string, fn: () => T): T {
	const target = openNetns(path);
	try {
		return withNetnsFd(target, path, fn);
	} finally {
		libc.close(target);
	}
}

/** As withNetns, by an open file of the namespace; `name` is for the error. */
export function withNetnsFd<T>(target: number, name: string, fn: () => T): T {
	const home = openNetns(OWN_NETNS);
	try {
		check(libc.setns(target, CLONE_NEWNET), `setns ${name}`);
		return fn();
	} finally {
		comeBack(home);
	}
}

/** An open file of the namespace, close-on-exec; the caller closes it. */
export function openNetns(path: string): number {
	return check(libc.open(ptr(cstring(path)), O_CLOEXEC, 0), `open ${path}`);
}

/** Lets go of the name; the kernel drops the namespace with its last process and socket. Safe to repeat. */
export function removeNetns(path: string): void {
	// umount -l PATH && rm PATH
	if (libc.umount2(ptr(cstring(path)), MNT_DETACH) < 0) ignore(() => check(-1, `umount ${path}`), ENOENT, EINVAL);
	try {
		unlinkSync(path);
	} catch (error) {
		if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
	}
}

/** Whether the file is a live network namespace. */
export function isNetns(path: string): boolean {
	try {
		withNetns(path, () => undefined);
		return true;
	} catch {
		return false;
	}
}

/** `sysctl -w NAME=VALUE` in the calling thread's namespace. With a slash in it `name` is taken as a path (interface names may hold dots). */
export function writeSysctl(name: string, value: string): void {
	const path = name.includes("/") ? name : name.replaceAll(".", "/");
	if (path.split("/").includes("..")) throw new Error(`cannot set sysctl ${name}: not a sysctl's name`);
	const fd = openSync(`/proc/sys/${path}`, "w");
	try {
		writeFileSync(fd, value);
	} finally {
		closeSync(fd);
	}
}

/** A thread that cannot come home would serve the rest of the engine from a container's network: nothing may go on then. */
function comeBack(home: number): void {
	const result = libc.setns(home, CLONE_NEWNET);
	libc.close(home);
	if (result < 0) {
		process.stderr.write("cannot return to the engine's network namespace\n");
		process.abort();
	}
}

function ignore(fn: () => void, ...numbers: readonly number[]): void {
	try {
		fn();
	} catch (error) {
		if (!(error instanceof SyscallError && numbers.includes(error.errno))) throw error;
	}
}
