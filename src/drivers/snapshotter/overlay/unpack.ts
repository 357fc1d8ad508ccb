import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { Readable, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { LayerWriter } from "./layer-writer.ts";
import { SkeletonWriter } from "./skeleton.ts";
import { type LayerEntry, TarReader, type TarSink } from "./tar-reader.ts";

/** The file to read; left out when the bytes come as a stream. */
export interface PieceRequest {
	readonly path?: string;
	readonly offset?: number;
	readonly length?: number;
}

export interface UnpackRequest extends PieceRequest {
	/** What sha256 and length of the (compressed) bytes must be. */
	readonly digest?: string;
	readonly size?: number;
	/** What the sha256 of the uncompressed tar must be; left out when nobody knows yet. */
	readonly diffId?: string;
	/** An existing empty directory that becomes the layer. */
	readonly directory: string;
	/** An existing empty directory for what it takes to put the tar together again. */
	readonly recipe: string;
	readonly limits: UnpackLimits;
}

/** Bounds against decompression bombs. */
export interface UnpackLimits {
	/** Bytes of the uncompressed tar. */
	readonly bytes: number;
	readonly entries: number;
}

export interface Unpacked {
	readonly diffId: string;
	/** Bytes of the regular files. */
	readonly size: number;
	/** Bytes of the uncompressed tar. */
	readonly tarSize: number;
}

/** Big pieces: the streams cost is per piece, and one is 1 ms of gunzip. */
const PIECE = 512 * 1024;
const MAGIC = 6;
/** The collector does not see the buffers that streams leave behind soon enough: it is called after so many bytes. */
const COLLECT_BYTES = 16 * 1024 * 1024;

/**
 * Unpacks one layer into an empty directory in one pass: check of the compressed bytes, decompression (on another thread), hash, tar, files, recipe.
 * Throws when it is damaged, too large, or not the layer announced; what was written until then stays.
 */
export async function unpackLayer(request: UnpackRequest, body?: AsyncIterable<Uint8Array>): Promise<Unpacked> {
	const bytes = checked(body ?? readPieces(request), request);
	const { head, rest } = await peek(bytes);
	const decoder = decoderFor(head);
	const hash = createHash("sha256");
	using layer = new LayerSink(request);
	const tar = new TarReader(layer);
	let tarSize = 0;
	let collected = 0;
	const sink = async (pieces: AsyncIterable<Buffer>) => {
		for await (const piece of pieces) {
			tarSize += piece.length;
			if (tarSize > request.limits.bytes)
				throw new Error(
					`the layer is larger than ${request.limits.bytes} bytes unpacked, which is the limit (maxLayerBytes)`,
				);
			hash.update(piece);
			tar.push(piece);
			if (tarSize - collected > COLLECT_BYTES) {
				collected = tarSize;
				Bun.gc(true);
			}
		}
	};
	if (decoder) await pipeline(Readable.from(rest), decoder, sink);
	else await sink(rest);
	tar.end();
	// A zstd stream that is cut ends without an error.
	const isProven = request.digest !== undefined || request.diffId !== undefined || !decoder;
	if (!isProven && !tar.hasEndMark) throw new Error("unexpected end of the tar: it has no end mark");
	layer.complete();
	const diffId = `sha256:${hash.digest("hex")}`;
	if (request.diffId !== undefined && diffId !== request.diffId)
		throw new Error(`layer has diffID ${diffId}, expected ${request.diffId}`);
	return { diffId, size: layer.size, tarSize };
}

/** Tar entries to files, and to the recipe. */
class LayerSink implements TarSink, Disposable {
	size = 0;
	private entries = 0;
	private readonly skeleton: SkeletonWriter;
	private readonly attic: number;
	private readonly writer: LayerWriter;
	private open: { file: { fd: number; path: string }; entry: LayerEntry } | undefined;

	constructor(private readonly request: UnpackRequest) {
		this.attic = fs.openSync(request.recipe, "r");
		this.skeleton = new SkeletonWriter(request.recipe);
		this.writer = new LayerWriter(request.directory, { fd: this.attic, move: (path) => this.skeleton.move(path) });
	}

	raw(bytes: Uint8Array): void {
		this.skeleton.raw(bytes);
	}

	begin(entry: LayerEntry): boolean {
		const { entries } = this.request.limits;
		if (++this.entries > entries) throw new Error(`the layer has more than ${entries} entries, which is the limit`);
		const file = this.writer.begin(entry);
		if (!file) return false;
		this.open = { file, entry };
		if (entry.size > 0) this.skeleton.file(file.path, entry.size);
		return true;
	}

	payload(bytes: Uint8Array): void {
		const fd = this.open?.file.fd ?? -1;
		let done = 0;
		while (done < bytes.length) done += fs.writeSync(fd, bytes, done);
		this.size += done;
	}

	finish(): void {
		if (!this.open) return;
		const { file, entry } = this.open;
		this.open = undefined;
		this.writer.finish(file, entry);
	}

	complete(): void {
		this.writer.complete();
		this.skeleton.complete();
	}

	[Symbol.dispose](): void {
		if (this.open) fs.closeSync(this.open.file.fd);
		this.writer[Symbol.dispose]();
		this.skeleton[Symbol.dispose]();
		fs.closeSync(this.attic);
	}
}

/** The sha256 and the length of a file or a stream. */
export async function measurePieces(
	request: PieceRequest,
	body?: AsyncIterable<Uint8Array>,
): Promise<{ digest: string; size: number }> {
	const hash = createHash("sha256");
	let size = 0;
	for await (const piece of body ?? readPieces(request)) {
		hash.update(piece);
		size += piece.length;
	}
	return { digest: `sha256:${hash.digest("hex")}`, size };
}

function readPieces(request: PieceRequest): AsyncIterable<Buffer> {
	const start = request.offset ?? 0;
	const end = request.length === undefined ? undefined : start + request.length - 1;
	if (request.path === undefined) throw new Error("a layer needs a file or a stream");
	if (request.length === 0) return Readable.from([]);
	return fs.createReadStream(request.path, { start, end, highWaterMark: PIECE });
}

/** The same bytes; throws before their end is told when digest or size are others. */
async function* checked(pieces: AsyncIterable<Uint8Array>, request: UnpackRequest): AsyncGenerator<Buffer> {
	const hash = request.digest === undefined ? undefined : createHash("sha256");
	let size = 0;
	for await (const piece of pieces) {
		size += piece.length;
		if (request.size !== undefined && size > request.size)
			throw new Error(`the blob is larger than the ${request.size} bytes announced`);
		hash?.update(piece);
		yield Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
	}
	if (request.size !== undefined && size !== request.size)
		throw new Error(`the blob has ${size} bytes, expected ${request.size}`);
	const digest = hash && `sha256:${hash.digest("hex")}`;
	if (digest !== request.digest) throw new Error(`the blob has digest ${digest}, expected ${request.digest}`);
}

/** The first bytes, and all of them again. */
async function peek(pieces: AsyncGenerator<Buffer>): Promise<{ head: Buffer; rest: AsyncGenerator<Buffer> }> {
	let head: Buffer = Buffer.alloc(0);
	while (head.length < MAGIC) {
		const next = await pieces.next();
		if (next.done) break;
		head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
	}
	const rest = async function* () {
		if (head.length > 0) yield head;
		yield* pieces;
	};
	return { head, rest: rest() };
}

/** The decompressor that these first bytes ask for; undefined for plain data. Throws for formats that are not read. */
function decoderFor(head: Buffer): Transform | undefined {
	const magic = head.toString("latin1", 0, MAGIC);
	if (magic.startsWith("\x1f\x8b")) return createGunzip({ chunkSize: PIECE });
	if (magic.startsWith("\x28\xb5\x2f\xfd")) return createZstdDecompress({ chunkSize: PIECE });
	const refused = magic.startsWith("\xfd7zXZ") ? "xz" : magic.startsWith("BZh") ? "bzip2" : undefined;
	if (refused) throw new Error(`${refused} compression is not supported: allowed are gzip, zstd and none`);
	return undefined;
}
