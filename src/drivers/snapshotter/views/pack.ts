import { ptr } from "bun:ffi";
import { closeSync, createReadStream } from "node:fs";
import { check, libc } from "../../../sys/linux/libc.ts";
import { O_CLOEXEC } from "../../../sys/linux/openat2.ts";

const F_SETPIPE_SZ = 1031;
/** What an unprivileged process may have of one pipe, too. */
const PIPE_BYTES = 1 << 20;

export interface PackRequest {
	/** fd of a directory. */
	readonly directory: number;
	/** What to pack of it: one name, or undefined for all. */
	readonly name?: string;
	/** The name that the packed thing has in the tar. "" for a root: its entries begin with a slash. */
	readonly rename: string;
	/** Directories below it (relative paths) whose content is left out. */
	readonly without: readonly string[];
}

/**
 * A tar made by GNU tar in a process of its own, which opens every directory by its fd and never follows a link. Whole seconds, numeric owners,
 * file capabilities and user attributes, as docker's. The caller may close `directory` once the first chunk has come or the iteration has ended;
 * abandoning the iteration ends the process. Throws when tar fails.
 */
export async function* pack(request: PackRequest): AsyncGenerator<Uint8Array> {
	const [read, write] = pipe();
	let child: ReturnType<typeof spawnTar>;
	try {
		child = spawnTar(request, write);
	} catch (error) {
		closeSync(read);
		throw error;
	} finally {
		closeSync(write);
	}
	const errors = new Response(child.stderr).text();
	const stream = createReadStream("", { fd: read, highWaterMark: PIPE_BYTES });
	try {
		for await (const chunk of stream) yield chunk as Buffer;
		const [exitCode, text] = await Promise.all([child.exited, errors]);
		// 1: something changed while it was read
		if (exitCode > 1) throw new Error(`cannot archive: ${text.trim().split("\n")[0]}`);
	} finally {
		stream.destroy();
		child.kill("SIGKILL");
	}
}

function spawnTar(request: PackRequest, output: number) {
	return Bun.spawn(["tar", ...tarArguments(request)], {
		cwd: `/proc/${process.pid}/fd/${request.directory}`,
		env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
		stdin: "ignore",
		stdout: output,
		stderr: "pipe",
	});
}

export function tarArguments({ name, rename, without }: Omit<PackRequest, "directory">): string[] {
	const to = rename.replace(/[\\&|]/g, "\\$&");
	return [
		"--create",
		"--file=-",
		"--format=pax",
		"--pax-option=delete=atime,delete=ctime,delete=mtime",
		"--xattrs",
		"--xattrs-include=user.*",
		"--xattrs-include=security.capability",
		"--numeric-owner",
		// A leading slash stays where a root is packed.
		"--absolute-names",
		"--blocking-factor=128",
		"--warning=none",
		// S: not in what symlinks point at
		`--transform=${name === undefined ? `s|^\\.|${to}|S` : "s|^\\./||S"}`,
		"--anchored",
		"--wildcards",
		...without.map((path) => (path === "." ? "--exclude=./*" : `--exclude=./${path.replace(/[\\*?[\]]/g, "\\$&")}/*`)),
		"--",
		name === undefined ? "." : `./${name}`,
	];
}

/** Both ends are closed on exec. */
function pipe(): [number, number] {
	const fds = new Int32Array(2);
	check(libc.pipe2(ptr(fds), O_CLOEXEC), "pipe2");
	const [read = -1, write = -1] = fds;
	libc.fcntl(read, F_SETPIPE_SZ, BigInt(PIPE_BYTES));
	return [read, write];
}
