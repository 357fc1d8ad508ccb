import * as fs from "node:fs";
import { join } from "node:path";

/**
 * How to put a layer's tar together again without keeping it: the bytes that are no file's content, and where each content lies now.
 * In the layer's recipe directory:
 *   skeleton     blocks of [u32 length][zstd frame]; a frame holds whole records
 *   moved.json   which files left their place while the layer was unpacked (later entries took their names), and to which of:
 *   0, 1, ...    files and directories that did
 * Records: raw = [0][u32 length][bytes]; content of a file = [1][f64 size][u16 length][its path in the layer, without symlinks]. Little endian.
 */
const RAW = 0;
const FILE = 1;
const BLOCK = 512 * 1024;
const RAW_LIMIT = 64 * 1024;

/** From the file record number `before` on, `path` and all below it mean something else; what was there lies in `to`. */
export interface Moved {
	/** Byte string. */
	readonly path: string;
	readonly before: number;
	readonly to: number;
}

export type SkeletonRecord =
	| { readonly raw: Uint8Array }
	/** `path` is a byte string below the layer, or below the recipe when `moved`. */
	| { readonly path: string; readonly moved: boolean; readonly size: number };

/** Writes a recipe. Synchronous, for a Worker. */
export class SkeletonWriter implements Disposable {
	private readonly fd: number;
	private readonly block = Buffer.allocUnsafe(BLOCK);
	private used = 0;
	/** Where the length of the raw record stands that may still grow. */
	private open: number | undefined;
	private files = 0;
	private readonly moved: Moved[] = [];

	/** `directory` exists and is empty. */
	constructor(private readonly directory: string) {
		this.fd = fs.openSync(join(directory, "skeleton"), "wx", 0o600);
	}

	raw(bytes: Uint8Array): void {
		for (let at = 0; at < bytes.length; ) {
			const part = bytes.subarray(at, at + RAW_LIMIT);
			this.rawPart(part);
			at += part.length;
		}
	}

	/** The next bytes of the tar are the content of this file (`path`: byte string). */
	file(path: string, size: number): void {
		this.reserve(11 + path.length);
		this.open = undefined;
		this.block[this.used] = FILE;
		this.block.writeDoubleLE(size, this.used + 1);
		this.block.writeUInt16LE(path.length, this.used + 9);
		this.used += 11 + this.block.write(path, this.used + 11, "latin1");
		this.files++;
	}

	/** Gives the name below the recipe directory to which the caller must rename what lies at `path`. */
	move(path: string): string {
		const to = this.moved.length;
		this.moved.push({ path, before: this.files, to });
		return String(to);
	}

	complete(): void {
		this.flush();
		if (this.moved.length > 0) fs.writeFileSync(join(this.directory, "moved.json"), JSON.stringify(this.moved));
	}

	[Symbol.dispose](): void {
		fs.closeSync(this.fd);
	}

	private rawPart(part: Uint8Array): void {
		const growing = this.open !== undefined && this.used + part.length <= BLOCK;
		if (!growing) {
			this.reserve(5 + part.length);
			this.block[this.used] = RAW;
			this.block.writeUInt32LE(0, this.used + 1);
			this.open = this.used + 1;
			this.used += 5;
		}
		this.block.set(part, this.used);
		this.used += part.length;
		const at = this.open ?? 0;
		this.block.writeUInt32LE(this.block.readUInt32LE(at) + part.length, at);
	}

	private reserve(bytes: number): void {
		if (this.used + bytes > BLOCK) this.flush();
	}

	private flush(): void {
		this.open = undefined;
		if (this.used === 0) return;
		const frame = Bun.zstdCompressSync(this.block.subarray(0, this.used), { level: 1 });
		const length = Buffer.alloc(4);
		length.writeUInt32LE(frame.length);
		fs.writeSync(this.fd, length);
		for (let at = 0; at < frame.length; ) at += fs.writeSync(this.fd, frame, at);
		this.used = 0;
	}
}

/** The records of a recipe, in order. Synchronous, for a Worker. Throws when they cannot be read. */
export function* readSkeleton(directory: string): Generator<SkeletonRecord> {
	const places = new Places(readMoved(directory));
	const fd = fs.openSync(join(directory, "skeleton"), "r");
	try {
		for (let frame = readBlock(fd); frame; frame = readBlock(fd))
			yield* records(Buffer.from(Bun.zstdDecompressSync(frame)), places);
	} finally {
		fs.closeSync(fd);
	}
}

function readMoved(directory: string): Moved[] {
	const path = join(directory, "moved.json");
	return fs.existsSync(path) ? (JSON.parse(fs.readFileSync(path, "utf8")) as Moved[]) : [];
}

function readBlock(fd: number): Buffer<ArrayBuffer> | undefined {
	const head = Buffer.alloc(4);
	if (fs.readSync(fd, head) < 4) return undefined;
	const frame = Buffer.alloc(head.readUInt32LE());
	let at = 0;
	while (at < frame.length) {
		const read = fs.readSync(fd, frame, at, frame.length - at, null);
		if (read === 0) throw new Error("the skeleton is cut");
		at += read;
	}
	return frame;
}

function* records(block: Buffer, places: Places): Generator<SkeletonRecord> {
	for (let at = 0; at < block.length; ) {
		if (block[at] === RAW) {
			const end = at + 5 + block.readUInt32LE(at + 1);
			yield { raw: block.subarray(at + 5, end) };
			at = end;
			continue;
		}
		const size = block.readDoubleLE(at + 1);
		const end = at + 11 + block.readUInt16LE(at + 9);
		yield { ...places.next(block.toString("latin1", at + 11, end)), size };
		at = end;
	}
}

/** Where the contents lie after all moves. */
class Places {
	private file = 0;
	private readonly byPath = new Map<string, Moved[]>();

	constructor(moved: readonly Moved[]) {
		for (const one of moved) {
			const list = this.byPath.get(one.path);
			if (list) list.push(one);
			else this.byPath.set(one.path, [one]);
		}
	}

	next(path: string): { path: string; moved: boolean } {
		const number = this.file++;
		if (this.byPath.size === 0) return { path, moved: false };
		let first: Moved | undefined;
		// The first move after this file was written took it along; after that it never moved again.
		for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) {
			const found = this.byPath.get(path.slice(0, end))?.find((one) => one.before > number);
			if (found && (!first || found.to < first.to)) first = found;
		}
		return first ? { path: `${first.to}${path.slice(first.path.length)}`, moved: true } : { path, moved: false };
	}
}
