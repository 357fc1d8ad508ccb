import { lstatSync, readlinkSync, type Stats } from "node:fs";
import { posix } from "node:path";
import { EngineError } from "../../../shared/errors.ts";

/** The kernel's bound, so that a loop of links ends. Source: path_resolution(7). */
const MAX_LINKS = 40;

interface Placed {
	readonly target: string;
	/** On the host; undefined: a filesystem that is empty before the start, or the kernel's. */
	readonly source: string | undefined;
}

/**
 * A container's files as they will be once its mounts are made, one by one: where a path leads when links of the image and of what is mounted are
 * followed inside the container. The runtime follows them the same way when it mounts. Nothing runs in there yet.
 */
export class MountedTree {
	private readonly placed: Placed[] = [];

	/** @param root the container's root directory on the host */
	constructor(private readonly root: string) {}

	/** What is placed later lies on top. @param target as `resolve` gives it */
	place(target: string, source: string | undefined): void {
		this.placed.push({ target, source });
	}

	/** The path without links, `.` and `..`; parts that are not there stay as they are. "invalid" for a loop. */
	resolve(path: string): string {
		const parts = path.split("/");
		let at = "/";
		let links = 0;
		for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
			const next = posix.join(at, part);
			const target = part === ".." ? undefined : this.linkAt(next);
			if (target === undefined) {
				at = next;
				continue;
			}
			if (++links > MAX_LINKS) throw new EngineError("invalid", `path ${path}: too many levels of symbolic links`);
			if (target.startsWith("/")) at = "/";
			parts.unshift(...target.split("/"));
		}
		return at;
	}

	/** What a resolved path is, links themselves; undefined when nothing is there yet. */
	stat(path: string): Stats | undefined {
		const file = this.onHost(path);
		return file === undefined ? undefined : lstatSync(file, { throwIfNoEntry: false });
	}

	/** Whether it lies in something that was placed from the host. */
	isFromHost(path: string): boolean {
		return this.mountOf(path)?.source !== undefined;
	}

	private linkAt(path: string): string | undefined {
		// What is mounted there is what its source leads to: no link.
		if (this.mountOf(path)?.target === path) return undefined;
		const file = this.onHost(path);
		return file !== undefined && isLink(file) ? readlinkSync(file) : undefined;
	}

	private onHost(path: string): string | undefined {
		const mount = this.mountOf(path);
		if (!mount) return posix.join(this.root, path);
		return mount.source === undefined ? undefined : posix.join(mount.source, posix.relative(mount.target, path));
	}

	private mountOf(path: string): Placed | undefined {
		return this.placed.findLast(({ target }) => path === target || path.startsWith(`${target}/`));
	}
}

/** A file above it is no link either. */
function isLink(path: string): boolean {
	try {
		return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
	} catch {
		return false;
	}
}
