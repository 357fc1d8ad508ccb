import { readFileSync, writeFileSync } from "node:fs";
import { EngineError } from "../shared/errors.ts";
import { type FileLock, tryLockFile } from "../sys/linux/file-lock.ts";
import { lockFile } from "./paths.ts";

/**
 * Makes this process the only daemon on a data root, which must exist. The lock is the kernel's (flock), so `kill -9` leaves nothing stale;
 * the pid inside the file is for people to read. Throws EngineError "conflict" when a daemon runs there already.
 */
export function lockDataRoot(dataRoot: string): FileLock {
	const path = lockFile(dataRoot);
	const lock = tryLockFile(path);
	if (lock === undefined) {
		const pid = readFileSync(path, "utf8").trim();
		throw new EngineError(
			"conflict",
			`cannot start on ${dataRoot}: a daemon${pid ? ` (pid ${pid})` : ""} runs there already`,
		);
	}
	writeFileSync(path, `${process.pid}\n`);
	return lock;
}
