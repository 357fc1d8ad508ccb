import { closeSync, openSync, symlinkSync } from "node:fs";
import { posix } from "node:path";
import { O_DIRECTORY, O_PATH, openInRoot } from "./openat2.ts";

const LEFT_ALONE = ["EEXIST", "ENOENT", "ENOTDIR", "ELOOP"];

/**
 * Makes a symlink at `path` inside `root`, every symlink on the way resolved as if `root` were `/`. What is there stays, and without its directory
 * there is none.
 */
export function linkInRoot(root: string, path: string, target: string): void {
	const directory = openSync(root, O_PATH | O_DIRECTORY);
	try {
		const parent = openInRoot(directory, posix.dirname(path), O_PATH | O_DIRECTORY);
		try {
			// ln -s TARGET ROOT/PATH
			symlinkSync(target, `/proc/self/fd/${parent}/${posix.basename(path)}`);
		} finally {
			closeSync(parent);
		}
	} catch (error) {
		if (!LEFT_ALONE.includes((error as { code?: string }).code ?? "")) throw error;
	} finally {
		closeSync(directory);
	}
}
