import * as fs from "node:fs";
import { posix } from "node:path";
import { SyscallError } from "../../../sys/linux/libc.ts";
import { O_PATH, openInRoot } from "../../../sys/linux/openat2.ts";
import { PieceBuffer } from "../overlay/piece-buffer.ts";
import { TAR_END, tarHeader, tarPadding } from "../overlay/tar-header.ts";
import type { LayerEntry } from "../overlay/tar-reader.ts";
import { pathOf } from "../views/view.ts";
import { bytes, changed, fileTarget, type Owner, type TreeCopy } from "./copy-tree.ts";
import { type Found, openRoot, statIn, walk } from "./walk.ts";

type Piece = Uint8Array<ArrayBuffer>;

const ENOTDIR = 20;
const ENXIO = 6;

/**
 * What copyTree would write, as the tar of a layer over the tree `to`, which stays as it is: large files are written once less. Directories on the
 * way are in it as they are there. Excluded names are not supported. Throws SyscallError. Synchronous, for a Worker.
 */
export function* archiveCopy(copy: TreeCopy): Generator<Piece> {
	const [from, to] = [openRoot(copy.root), openRoot(copy.to)];
	const tar = new CopyTar();
	try {
		const found = walk(from, copy.path);
		const first = found.next().value as Found | undefined;
		if (!first) throw new SyscallError(`open ${copy.path}`, ENXIO);
		if (first.entry.type === "directory") yield* directory(tar, to, copy, found);
		else yield* file(tar, to, copy, first);
		yield* tar.end();
	} finally {
		fs.closeSync(from);
		fs.closeSync(to);
	}
}

function* directory(tar: CopyTar, to: number, copy: TreeCopy, found: Iterable<Found>): Generator<Piece> {
	const real = pathOf(to, copy.destination);
	yield* way(tar, to, posix.dirname(real), undefined, copy.chmod);
	yield* way(tar, to, real, copy.owner, copy.chmod, true);
	const prefix = real === "/" ? "" : `${bytes(real.slice(1))}/`;
	const links = new Map<string, string>();
	for (const one of found) yield* tar.found(one, `${prefix}${one.entry.name}`, copy, links);
}

function* file(tar: CopyTar, to: number, copy: TreeCopy, found: Found): Generator<Piece> {
	const target = fileTarget(to, copy);
	const above = pathOf(to, target.directory);
	yield* way(tar, to, above, copy.owner, copy.chmod);
	const name = bytes(posix.join(above, target.name).slice(1));
	yield* tar.found(found, name, copy, new Map());
}

/** The directories down to a path, as they are there; those that are missing are new. `last`: the others have been told. */
function* way(
	tar: CopyTar,
	to: number,
	path: string,
	owner: Owner | undefined,
	chmod: string | undefined,
	last = false,
): Generator<Piece> {
	const parts = path.split("/").filter(Boolean);
	for (let i = last ? parts.length : 1; i <= parts.length && i > 0; i++) {
		const part = `/${parts.slice(0, i).join("/")}`;
		const there = entryAt(to, part);
		if (there && there.type !== "directory") throw new SyscallError(`mkdir ${path}`, ENOTDIR);
		yield* tar.header({ ...(there ?? newDirectory(owner, chmod)), name: bytes(part.slice(1)) });
	}
}

function entryAt(root: number, path: string): LayerEntry | undefined {
	try {
		fs.closeSync(openInRoot(root, path, O_PATH));
	} catch (error) {
		if (error instanceof SyscallError && error.code === "ENOENT") return undefined;
		throw error;
	}
	return statIn(root, path)?.entry;
}

function newDirectory(owner: Owner | undefined, chmod: string | undefined): LayerEntry {
	const entry: LayerEntry = {
		name: "",
		type: "directory",
		mode: 0o755,
		uid: owner?.uid ?? 0,
		gid: owner?.gid ?? 0,
		mtime: { seconds: Math.floor(Date.now() / 1000), nanos: 0 },
		linkname: "",
		devmajor: 0,
		devminor: 0,
		xattrs: new Map(),
		size: 0,
	};
	return changed(entry, { chmod });
}

class CopyTar {
	private readonly out = new PieceBuffer();

	*header(entry: LayerEntry): Generator<Piece> {
		yield* this.out.add(tarHeader(entry));
	}

	*found(found: Found, name: string, copy: TreeCopy, links: Map<string, string>): Generator<Piece> {
		const key = `${found.dev}:${found.ino}`;
		const isLinked = found.links > 1 && found.entry.type !== "directory";
		const first = isLinked ? links.get(key) : undefined;
		const { uid, gid } = copy.owner ?? found.entry;
		const entry = { ...changed(found.entry, copy), name, uid, gid };
		if (first !== undefined) {
			yield* this.header({ ...entry, type: "link", linkname: first, size: 0, xattrs: new Map() });
			return;
		}
		if (isLinked) links.set(key, name);
		if (entry.type === "file") yield* this.file(found, entry);
		else yield* this.header(entry);
	}

	*end(): Generator<Piece> {
		yield* this.out.add(TAR_END);
		yield* this.out.rest();
	}

	private *file(found: Found, entry: LayerEntry): Generator<Piece> {
		const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants;
		// What begins a walk is open already, and its name in /proc is a link.
		const fd = fs.openSync(found.at, O_RDONLY | O_NONBLOCK | (found.entry.name === "" ? 0 : O_NOFOLLOW));
		try {
			yield* this.header(entry);
			yield* this.out.addFile(fd, entry.size);
			yield* this.out.add(tarPadding(entry.size));
		} finally {
			fs.closeSync(fd);
		}
	}
}
