import {
	closeSync,
	fstatSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	rmdirSync,
	statSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { EngineError } from "../../../shared/errors.ts";
import { errno, libc, SyscallError } from "../../../sys/linux/libc.ts";
import {
	MS_BIND,
	MS_NODEV,
	MS_NOEXEC,
	MS_NOSUID,
	MS_RDONLY,
	MS_REC,
	mount,
	unmount,
} from "../../../sys/linux/mount.ts";
import { mountOf } from "../../../sys/linux/mount-info.ts";
import { openBeneath } from "../../../sys/linux/openat2.ts";
import type { MountStage } from "../driver.ts";

const ENOSYS = 38;
const SYS_MOUNT_SETATTR = 442;

/** Stages below `root`/CONTAINER/N, where nobody but root looks in. */
export class LocalStage implements MountStage {
	readonly recursiveReadOnly = hasMountSetattr();
	readonly mountOf = mountOf;

	constructor(private readonly root: string) {
		mkdirSync(root, { recursive: true, mode: 0o700 });
	}

	subpath(containerId: string, base: string, subpath: string): string {
		const fd = openSubpath(base, subpath);
		try {
			const place = this.place(containerId, fstatSync(fd).isDirectory());
			// mount --rbind /proc/PID/fd/N PLACE: what the fd was opened on, wherever its path leads by now
			mount({ source: `/proc/self/fd/${fd}`, target: place, flags: MS_BIND | MS_REC });
			return place;
		} finally {
			closeSync(fd);
		}
	}

	layers(containerId: string, directories: readonly string[]): string {
		const place = this.place(containerId, true);
		const [only, ...more] = directories;
		if (only === undefined) return place;
		if (more.length === 0) mount({ source: only, target: place, flags: MS_BIND });
		else mountLayers(directories, place);
		return place;
	}

	release(containerId: string): void {
		const directory = join(this.root, containerId);
		for (const name of namesIn(directory)) while (unmount(join(directory, name))) {}
		// Never into a mount that would not go: rmdir of what is empty alone.
		for (const name of namesIn(directory)) removePlace(join(directory, name));
		removePlace(directory);
	}

	sweep(): void {
		for (const name of namesIn(this.root)) this.release(name);
	}

	mountShared(directory: string, bytes: number): void {
		mkdirSync(directory, { recursive: true, mode: 0o700 });
		this.unmountShared(directory);
		// mount -t tmpfs -o nosuid,nodev,noexec,mode=1777,size=BYTES shm DIRECTORY
		const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
		mount({ source: "shm", target: directory, type: "tmpfs", flags, data: `mode=1777,size=${bytes}` });
	}

	unmountShared(directory: string): void {
		while (unmount(directory)) {}
	}

	private place(containerId: string, directory: boolean): string {
		const parent = join(this.root, containerId);
		mkdirSync(parent, { recursive: true, mode: 0o700 });
		const place = join(parent, String(namesIn(parent).length));
		if (directory) mkdirSync(place, { mode: 0o755 });
		else writeFileSync(place, "", { flag: "wx" });
		return place;
	}
}

/** The directory `subpath` names inside `base`, by a path that cannot be swapped while this is open; undefined when there is none. */
export function directoryInside(base: string, subpath: string): (Disposable & { readonly path: string }) | undefined {
	let fd: number;
	try {
		fd = openSubpath(base, subpath);
	} catch (error) {
		if (error instanceof EngineError) return undefined;
		throw error;
	}
	if (!fstatSync(fd).isDirectory()) {
		closeSync(fd);
		return undefined;
	}
	// the daemon's own number: a child that copies reads it too
	return { path: `/proc/${process.pid}/fd/${fd}`, [Symbol.dispose]: () => closeSync(fd) };
}

function openSubpath(base: string, subpath: string): number {
	const shown = join(base, subpath);
	try {
		return openBeneath(base, normalize(subpath));
	} catch (error) {
		if (!(error instanceof SyscallError)) throw error;
		if (error.code === "EXDEV" || error.code === "ELOOP") {
			throw new EngineError(
				"invalid",
				`path concatenation escapes the base directory, base: ${base}, subpath: ${subpath}`,
				{ cause: error },
			);
		}
		const why = error.code === "ENOTDIR" ? "not a directory" : "no such file or directory";
		const text = `cannot access path ${shown}: lstat ${firstMissing(base, subpath)}: ${why}`;
		throw new EngineError(error.code === "ENOENT" ? "not-found" : "invalid", text, { cause: error });
	}
}

/** The first part of the path that is not there: docker's error names it. */
function firstMissing(base: string, subpath: string): string {
	let at = base;
	for (const part of normalize(subpath).split("/")) {
		at = join(at, part);
		if (!statSync(at, { throwIfNoEntry: false })) return at;
	}
	return at;
}

/** Names relative to their directory, so that long chains fit into one page. Nothing else runs between the two chdir. */
function mountLayers(directories: readonly string[], target: string): void {
	const parent = dirname(directories[0] ?? "/");
	const same = directories.every((path) => dirname(path) === parent);
	const names = [...directories].reverse().map((path) => (same ? basename(path) : path));
	const before = process.cwd();
	process.chdir(parent);
	try {
		// mount -t overlay overlay -o ro,lowerdir=TOP:...:BASE TARGET
		mount({ source: "overlay", target, type: "overlay", flags: MS_RDONLY, data: `lowerdir=${names.join(":")}` });
	} finally {
		process.chdir(before);
	}
}

function removePlace(path: string): void {
	try {
		if (lstatSync(path).isDirectory()) rmdirSync(path);
		else unlinkSync(path);
	} catch {
		// gone, or a mount that would not go: the next start of a daemon sweeps it
	}
}

function namesIn(path: string): string[] {
	return statSync(path, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(path) : [];
}

function hasMountSetattr(): boolean {
	// An empty call: a kernel that has it complains about the arguments instead.
	const result = libc.syscall(SYS_MOUNT_SETATTR, 0, 0, 0, 0, 0, 0);
	return Number(result) >= 0 || errno() !== ENOSYS;
}
