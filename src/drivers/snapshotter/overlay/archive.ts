import * as fs from "node:fs";
import { getXattr, listXattrs } from "../../../sys/linux/xattr.ts";
import { changesOf, type SnapshotDirectories } from "./changes.ts";
import { PieceBuffer } from "./piece-buffer.ts";
import { TAR_END, tarHeader, tarPadding } from "./tar-header.ts";
import type { LayerEntry } from "./tar-reader.ts";
import { descend, entriesOf, type StackedDirectory } from "./tree.ts";

type Piece = Uint8Array<ArrayBuffer>;

const WHITEOUT_TIME = { seconds: 0, nanos: 0 };

/** The writable layer as a layer's tar, in pieces that the taker may keep. Sockets are left out, as everywhere. Synchronous, for a Worker. */
export function* archiveChanges(snapshot: SnapshotDirectories): Generator<Piece> {
	const tar = new TarWriter();
	let file = "\0";
	for (const { path, kind, at } of changesOf(snapshot, "all")) {
		const name = path.slice(1);
		if (kind === "deleted") {
			// A file in a directory's place hides all of that.
			if (path.startsWith(file)) continue;
			const slash = name.lastIndexOf("/") + 1;
			yield* tar.whiteout(`${name.slice(0, slash)}.wh.${name.slice(slash)}`);
		} else if (at) {
			if (!at.stat.isDirectory()) file = `${path}/`;
			yield* tar.entry(name, at.path, at.stat);
			if (at.opaque) yield* tar.whiteout(`${name}/.wh..wh..opq`);
		}
	}
	yield* tar.end();
}

/** All that the container sees in its root, without what is mounted there. */
export function* archiveRoot(snapshot: SnapshotDirectories): Generator<Piece> {
	const tar = new TarWriter();
	const root = { parts: [snapshot.upper, ...snapshot.lower].map((path) => Buffer.from(path)) };
	yield* archiveDirectory(tar, root, "");
	yield* tar.end();
}

function* archiveDirectory(tar: TarWriter, directory: StackedDirectory, prefix: string): Generator<Piece> {
	for (const { name, path, stat } of entriesOf(directory)) {
		yield* tar.entry(`${prefix}${name}`, path, stat);
		if (stat.isDirectory()) yield* archiveDirectory(tar, descend(directory, name), `${prefix}${name}/`);
	}
}

class TarWriter {
	private readonly out = new PieceBuffer();
	/** First names of files that have several, by inode. All directories of a stack lie on one filesystem. */
	private readonly links = new Map<number, string>();

	*entry(name: string, path: Buffer, stat: fs.Stats): Generator<Piece> {
		const type = typeOf(stat);
		if (!type) return;
		const first = stat.nlink > 1 && type !== "directory" ? this.links.get(stat.ino) : undefined;
		if (first !== undefined) {
			yield* this.out.add(tarHeader({ ...this.header(name, "link", path, stat), linkname: first }));
			return;
		}
		if (stat.nlink > 1 && type !== "directory") this.links.set(stat.ino, name);
		if (type !== "file") {
			yield* this.out.add(tarHeader(this.header(name, type, path, stat)));
			return;
		}
		const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants;
		const fd = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
		try {
			// A file that grows meanwhile is taken as far as its header says.
			const now = fs.fstatSync(fd);
			yield* this.out.add(tarHeader({ ...this.header(name, type, path, now), size: now.size }));
			yield* this.out.addFile(fd, now.size);
			yield* this.out.add(tarPadding(now.size));
		} finally {
			fs.closeSync(fd);
		}
	}

	*whiteout(name: string): Generator<Piece> {
		const none = { mode: 0o600, uid: 0, gid: 0, linkname: "", devmajor: 0, devminor: 0, xattrs: new Map(), size: 0 };
		yield* this.out.add(tarHeader({ ...none, name, type: "file", mtime: WHITEOUT_TIME }));
	}

	*end(): Generator<Piece> {
		yield* this.out.add(TAR_END);
		yield* this.out.rest();
	}

	private header(name: string, type: LayerEntry["type"], path: Buffer, stat: fs.Stats): LayerEntry {
		const isDevice = type.endsWith("device");
		return {
			name,
			type,
			mode: stat.mode & 0o7777,
			uid: stat.uid,
			gid: stat.gid,
			mtime: timeOf(path, stat),
			linkname: type === "symlink" ? fs.readlinkSync(path, "buffer").toString("latin1") : "",
			// gnu_dev_major(3), gnu_dev_minor(3)
			devmajor: isDevice ? (stat.rdev >>> 8) & 0xfff : 0,
			devminor: isDevice ? (stat.rdev & 0xff) | ((stat.rdev >>> 12) & 0xfff00) : 0,
			xattrs: type === "link" ? new Map() : xattrsOf(path),
			size: 0,
		};
	}
}

function timeOf(path: Buffer, stat: fs.Stats): LayerEntry["mtime"] {
	// Stats holds milliseconds as a float, which loses the nanoseconds
	const nano =
		fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })?.mtimeNs ??
		BigInt(Math.round(stat.mtimeMs)) * 1_000_000n;
	const nanos = Number(((nano % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n);
	return { seconds: Number((nano - BigInt(nanos)) / 1_000_000_000n), nanos };
}

function xattrsOf(path: Buffer): Map<string, Uint8Array> {
	const found = new Map<string, Uint8Array>();
	for (const name of listXattrs(path)) {
		// As dockerd: capabilities and the user's own. Labels (selinux) belong to the machine, trusted.overlay.* to the mount.
		if (name !== "security.capability" && !name.startsWith("user.")) continue;
		const value = name.startsWith("user.overlay.") ? undefined : getXattr(path, name);
		if (value) found.set(name, value);
	}
	return found;
}

function typeOf(stat: fs.Stats): LayerEntry["type"] | undefined {
	if (stat.isFile()) return "file";
	if (stat.isDirectory()) return "directory";
	if (stat.isSymbolicLink()) return "symlink";
	if (stat.isCharacterDevice()) return "character-device";
	if (stat.isBlockDevice()) return "block-device";
	return stat.isFIFO() ? "fifo" : undefined;
}
