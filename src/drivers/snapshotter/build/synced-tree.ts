import { closeSync, mkdirSync } from "node:fs";
import { EngineError } from "../../../shared/errors.ts";
import { SyscallError } from "../../../sys/linux/libc.ts";
import { O_DIRECTORY, O_PATH, openInRoot } from "../../../sys/linux/openat2.ts";
import type { LayerEntry } from "../overlay/tar-reader.ts";
import { removeTree } from "../views/remove-tree.ts";
import { type OpenFile, TreeWriter } from "../views/tree-writer.ts";
import { type Found, openRoot } from "./walk.ts";

/** Contract: TreeEntry of engine/build. */
export interface SyncedEntry {
	readonly path: string;
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	readonly size: number;
	readonly modified: bigint;
	readonly linkName: string;
	readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

const S_IFMT = 0o170000;
const TYPES: ReadonlyMap<number, LayerEntry["type"]> = new Map([
	[0o100000, "file"],
	[0o040000, "directory"],
	[0o120000, "symlink"],
	[0o010000, "fifo"],
]);

/** A copy of a client's directory that is brought up to date: what has not changed since the last time is not asked for again. */
export class SyncedTree {
	/** What the tree has, by path, with what it was last said to be; "" when that has not come whole. */
	private known = new Map<string, string>();

	/** @param directory is made; nobody else writes to it */
	constructor(private readonly directory: string) {}

	/** One time. */
	receive(): Reception {
		mkdirSync(this.directory, { recursive: true, mode: 0o700 });
		return new Reception(this.directory, this.known);
	}
}

/**
 * Takes entries in the order of their paths, parents first, and then contents, of several files at once. Nothing outside of the directory is
 * written, whatever the client says (SECURITY: paths are checked here, and opened with openat2 by TreeWriter). Synchronous.
 */
export class Reception implements Disposable {
	private readonly root: number;
	private readonly writer: TreeWriter;
	private readonly seen = new Map<string, LayerEntry>();
	private readonly wanted = new Map<string, { readonly entry: LayerEntry; readonly sign: string; file?: OpenFile }>();
	private changed = false;
	private readonly links: { readonly entry: LayerEntry; readonly sign: string; readonly path: string }[] = [];

	constructor(
		directory: string,
		private readonly known: Map<string, string>,
	) {
		this.root = openRoot(directory);
		this.writer = new TreeWriter(this.root, "", { keepKinds: false });
	}

	entry(given: SyncedEntry): boolean {
		const entry = this.check(given);
		const { path } = given;
		this.seen.set(path, entry);
		const sign = signOf(given);
		const isSame = this.known.get(path) === sign;
		if (!isSame) this.changed = true;
		if (isSame && entry.type !== "directory" && entry.type !== "link") return false;
		if (entry.type !== "directory") this.replace(path);
		if (entry.type === "link") {
			// Its target's content may still come, in a new file.
			this.links.push({ entry, sign, path });
			return false;
		}
		if (entry.type === "file") {
			this.wanted.set(path, { entry, sign });
			return true;
		}
		this.writer.begin(entry);
		this.known.set(path, sign);
		return false;
	}

	content(path: string, bytes: Uint8Array): void {
		const one = this.wanted.get(path);
		if (!one) throw invalid(path, "was not asked for");
		one.file ??= this.writer.openFile(one.entry);
		if (bytes.length > 0) {
			one.file.write(bytes);
			return;
		}
		this.wanted.delete(path);
		one.file.end();
		this.known.set(path, one.sign);
	}

	/** After the last content: what the client no longer has goes. Whether anything is other than before. */
	complete(): boolean {
		const [missing] = this.wanted.keys();
		if (missing !== undefined) throw invalid(missing, "has not come");
		for (const { entry, sign, path } of this.links) {
			this.writer.begin(entry);
			this.known.set(path, sign);
		}
		for (const path of this.known.keys()) {
			if (this.seen.has(path)) continue;
			this.remove(path);
			this.known.delete(path);
			this.changed = true;
		}
		this.writer.complete();
		return this.changed;
	}

	[Symbol.dispose](): void {
		for (const { file } of this.wanted.values()) file?.[Symbol.dispose]();
		this.writer[Symbol.dispose]();
		closeSync(this.root);
	}

	/** Until it has come nobody knows what lies there, but that something may: whatever a directory had there goes now. */
	private replace(path: string): void {
		if (isDirectorySign(this.known.get(path))) {
			this.remove(path);
			for (const one of this.known.keys()) if (one.startsWith(`${path}/`)) this.known.delete(one);
		}
		this.known.set(path, "");
	}

	private check(given: SyncedEntry): LayerEntry {
		const { path, mode, linkName } = given;
		const parts = path.split("/");
		if (path.includes("\0") || parts.some((part) => part === "" || part === "." || part === "..")) {
			throw invalid(path, "is no path inside the directory");
		}
		const parent = parts.slice(0, -1).join("/");
		if (parent !== "" && this.seen.get(parent)?.type !== "directory") throw invalid(path, "is in no directory");
		if (this.seen.has(path)) throw invalid(path, "came twice");
		const kind = TYPES.get(mode & S_IFMT);
		if (!kind) throw invalid(path, "is a device or of another kind that no context may have");
		const isLink = kind === "file" && linkName !== "";
		if (isLink && this.seen.get(linkName)?.type !== "file")
			throw invalid(path, `is another name of ${linkName}, no file`);
		return entryOf(given, isLink ? "link" : kind);
	}

	private remove(path: string): void {
		const slash = path.lastIndexOf("/");
		try {
			const parent = openInRoot(this.root, path.slice(0, Math.max(slash, 0)), O_PATH | O_DIRECTORY);
			try {
				removeTree(parent, Buffer.from(path.slice(slash + 1)));
			} finally {
				closeSync(parent);
			}
		} catch (error) {
			// Gone with the directory that it was in.
			const gone = error instanceof SyscallError && (error.code === "ENOENT" || error.code === "ENOTDIR");
			if (!gone) throw error;
		}
	}
}

function entryOf(given: SyncedEntry, type: LayerEntry["type"]): LayerEntry {
	const latin = (text: string) => Buffer.from(text).toString("latin1");
	return {
		name: latin(given.path),
		type,
		mode: given.mode & 0o7777,
		uid: given.uid,
		gid: given.gid,
		mtime: {
			seconds: Number(given.modified / 1_000_000_000n),
			nanos: Number(given.modified % 1_000_000_000n),
		},
		linkname: latin(given.linkName),
		devmajor: 0,
		devminor: 0,
		xattrs: given.xattrs,
		size: type === "file" ? given.size : 0,
	};
}

/** Something of a tree as a client is told of it. */
export function syncedEntry({ entry }: Found): SyncedEntry {
	const utf8 = (text: string) => Buffer.from(text, "latin1").toString();
	const kind = [...TYPES].find(([, type]) => type === entry.type)?.[0] ?? DEVICES.get(entry.type) ?? 0;
	return {
		path: utf8(entry.name),
		mode: kind | entry.mode,
		uid: entry.uid,
		gid: entry.gid,
		size: entry.size,
		modified: BigInt(entry.mtime.seconds) * 1_000_000_000n + BigInt(entry.mtime.nanos),
		linkName: utf8(entry.linkname),
		xattrs: entry.xattrs,
	};
}

const DEVICES: ReadonlyMap<string, number> = new Map([
	["character-device", 0o020000],
	["block-device", 0o060000],
]);

function isDirectorySign(sign = ""): boolean {
	return (Number(sign.split("|", 1)[0]) & S_IFMT) === 0o040000;
}

function signOf({ mode, uid, gid, size, modified, linkName, xattrs }: SyncedEntry): string {
	const attributes = [...xattrs].map(([name, value]) => `${name}=${Buffer.from(value).toString("hex")}`).join(",");
	return [mode, uid, gid, size, modified, linkName, attributes].join("|");
}

function invalid(path: string, why: string): EngineError {
	return new EngineError("invalid", `build context: ${JSON.stringify(path)} ${why}`);
}
