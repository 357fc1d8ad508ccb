import * as fs from "node:fs";
import { check, libc } from "./libc.ts";

/** Writes all that the filesystem of `path` holds back to disk. Blocks for as long as the disk takes: for Workers. Throws SyscallError. */
export function syncFilesystem(path: string): void {
	const fd = fs.openSync(path, "r");
	try {
		// sync --file-system PATH
		check(libc.syncfs(fd), `syncfs ${path}`);
	} finally {
		fs.closeSync(fd);
	}
}
