import { mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { EngineError } from "../shared/errors.ts";
import { type FileLock, tryLockFile } from "../sys/linux/file-lock.ts";
import { lockFile } from "./paths.ts";

/**
 * Makes this process the only daemon on a root (data or run), which must exist. The lock is the kernel's (flock), so `kill -9` leaves
 * nothing stale; the pid inside the file is for people to read. Throws EngineError "conflict" when a daemon runs there already.
 */
export function lockRoot(root: string): FileLock {
	return lock(lockFile(root), (holder) => `cannot start on ${root}: a daemon${holder} runs there already`);
}

/**
 * Makes this process the only daemon of an instance's name. Bridges and the nftables table bear it, so two would tear down each
 * other's; those are the network namespace's, and so is the name. Throws as `lockRoot`.
 */
export function lockInstance(instance: string, directory = "/run"): FileLock {
	const namespace = readlinkSync("/proc/self/ns/net").replace(/\D+/g, "");
	const path = `${directory}/foredeck-${instance}.${namespace}.lock`;
	mkdirSync(directory, { recursive: true });
	const held = lock(path, (holder) => `cannot start instance ${instance}: a daemon${holder} of this name runs already`);
	return {
		release() {
			rmSync(path, { force: true });
			held.release();
		},
	};
}

function lock(path: string, refusal: (holder: string) => string): FileLock {
	const held = tryLockFile(path);
	if (held === undefined) {
		const pid = readFileSync(path, "utf8").trim();
		throw new EngineError("conflict", refusal(pid ? ` (pid ${pid})` : ""));
	}
	writeFileSync(path, `${process.pid}\n`);
	return held;
}
