import { closeSync, fstatSync, mkdirSync, openSync, readlinkSync } from "node:fs";
import { posix } from "node:path";
import { EngineError } from "../../shared/errors.ts";
import { SyscallError } from "./libc.ts";
import { O_DIRECTORY, O_PATH, openInRoot } from "./openat2.ts";

/** What the kernel follows in one path. Source: path_resolution(7). */
const MAX_LINKS = 40;
const ABSENT = ["ENOENT", "ENOTDIR", "ELOOP"];

/** Whether `path` is a directory inside `root`, every symlink resolved as if `root` were `/`. Throws SyscallError. */
export function isDirectoryInRoot(root: string, path: string): boolean {
	return inside(root, (base) => {
		try {
			const fd = openInRoot(base, path, O_PATH);
			try {
				return fstatSync(fd).isDirectory();
			} finally {
				closeSync(fd);
			}
		} catch (error) {
			if (error instanceof SyscallError && ABSENT.includes(error.code)) return false;
			throw error;
		}
	});
}

/**
 * Makes the directory `path` inside `root`, and those above it, every symlink resolved as if `root` were `/`; where one leads to nothing, what it
 * names is made. Throws EngineError "internal", in docker's words, when something else is there.
 */
export function makeDirectoryInRoot(root: string, path: string): void {
	inside(root, (base) => closeSync(ensure(base, path, { left: MAX_LINKS })));
}

/** An O_PATH fd, which the caller closes. */
function ensure(base: number, path: string, links: { left: number }): number {
	try {
		return openInRoot(base, path, O_PATH | O_DIRECTORY);
	} catch (error) {
		const code = error instanceof SyscallError ? error.code : "";
		if (code === "ENOTDIR") {
			throw new EngineError("internal", `Cannot mkdir: ${path} is not a directory`, { cause: error });
		}
		if (code !== "ENOENT" || path === "/") throw error;
	}
	const [above, name] = [posix.dirname(path), posix.basename(path)];
	const parent = ensure(base, above, links);
	try {
		// mkdir ROOT/PATH
		mkdirSync(`/proc/self/fd/${parent}/${name}`, { mode: 0o755 });
	} catch (error) {
		if ((error as { code?: string }).code !== "EEXIST" || links.left-- === 0) throw error;
		const target = readlinkSync(`/proc/self/fd/${parent}/${name}`);
		return ensure(base, posix.resolve(above, target), links);
	} finally {
		closeSync(parent);
	}
	return openInRoot(base, path, O_PATH | O_DIRECTORY);
}

function inside<T>(root: string, work: (base: number) => T): T {
	const base = openSync(root, O_PATH | O_DIRECTORY);
	try {
		return work(base);
	} finally {
		closeSync(base);
	}
}
