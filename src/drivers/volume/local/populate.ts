import {
	closeSync,
	constants,
	existsSync,
	fstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	renameSync,
	rmSync,
} from "node:fs";
import { EngineError } from "../../../shared/errors.ts";
import { SyscallError } from "../../../sys/linux/libc.ts";
import { O_DIRECTORY, O_PATH, openInRoot } from "../../../sys/linux/openat2.ts";
import type { Populated, VolumeContent } from "../driver.ts";

const ABSENT = ["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"];

/** An fd (O_PATH) of what `path` is inside `root`, links kept inside it; undefined when there is nothing. The caller closes it. */
export function openPathInRoot(root: string, path: string): number | undefined {
	const directory = openSync(root, O_PATH | O_DIRECTORY);
	try {
		return openInRoot(directory, path, O_PATH);
	} catch (error) {
		if (error instanceof SyscallError && ABSENT.includes(error.code)) return undefined;
		throw error;
	} finally {
		closeSync(directory);
	}
}

/**
 * Copies the directory at `path` inside `root` to `target`, an empty directory, with owners, modes, times, links, devices and extended
 * attributes, the directory's own too. Through `draft`, a place beside `target` that then takes its place, a crash leaves no half copy; without
 * one the copy is made in place.
 */
export async function populate(
	{ root, path, files = [] }: Pick<VolumeContent, "root" | "path" | "files">,
	target: string,
	draft?: string,
): Promise<Populated> {
	const source = openPathInRoot(root, path);
	if (source === undefined) return "absent";
	try {
		if (!fstatSync(source).isDirectory()) return "file";
		if (draft === undefined) {
			await copy(source, target);
			touch(target, files);
		} else {
			rmSync(draft, { recursive: true, force: true });
			mkdirSync(draft, { mode: 0o755 });
			await copy(source, draft);
			touch(draft, files);
			// takes the place of an empty directory; one that got content meanwhile is kept
			replaceEmpty(draft, target);
		}
		return "copied";
	} finally {
		closeSync(source);
		if (draft !== undefined && existsSync(draft)) rmSync(draft, { recursive: true, force: true });
	}
}

/** A link of that name counts as the file: it is not followed. */
function touch(directory: string, files: readonly string[]): void {
	for (const name of files) {
		try {
			closeSync(openSync(`${directory}/${name}`, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o644));
		} catch (error) {
			if ((error as { code?: unknown }).code !== "EEXIST") throw error;
		}
	}
}

function replaceEmpty(draft: string, target: string): void {
	if (readdirSync(target).length === 0) renameSync(draft, target);
}

async function copy(source: number, target: string): Promise<void> {
	// The fd pins what was resolved: the path through /proc leads to that directory and no other.
	const from = `/proc/${process.pid}/fd/${source}/.`;
	// cp --archive --reflink=auto FROM/. TARGET
	const argv = ["cp", "--archive", "--reflink=auto", "--", from, target];
	const child = Bun.spawn(argv, { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
	const [text, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
	if (code === 0) return;
	const line = text.trim().split("\n")[0] ?? `exit code ${code}`;
	throw new EngineError("internal", `cannot copy the image's content to ${target}: ${line}`);
}
