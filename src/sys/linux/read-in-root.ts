import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { SyscallError } from "./libc.ts";
import { O_DIRECTORY, O_PATH, openInRoot } from "./openat2.ts";

/** passwd and group files are small: a bigger one is an attack on our memory. */
const MAX_SIZE = 8 << 20;
const ABSENT = ["ENOENT", "ENOTDIR", "ELOOP"];

/** The text of a regular file inside `root`, every symlink resolved as if `root` were `/`; undefined when there is none. Throws SyscallError else. */
export function readInRoot(root: string, path: string): string | undefined {
	const directory = openSync(root, O_PATH | O_DIRECTORY);
	try {
		// Non-blocking: a FIFO in its place must not hold the daemon.
		return readSmall(openInRoot(directory, path, constants.O_RDONLY | constants.O_NONBLOCK));
	} catch (error) {
		if (error instanceof SyscallError && ABSENT.includes(error.code)) return undefined;
		throw error;
	} finally {
		closeSync(directory);
	}
}

function readSmall(fd: number): string | undefined {
	try {
		const stat = fstatSync(fd);
		return stat.isFile() && stat.size <= MAX_SIZE ? readFileSync(fd, "utf8") : undefined;
	} finally {
		closeSync(fd);
	}
}
