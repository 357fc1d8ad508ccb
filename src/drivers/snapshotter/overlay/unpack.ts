import { createHash } from "node:crypto";
import { closeSync, createReadStream, openSync, readSync, writeSync } from "node:fs";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import tar from "tar-stream";
import { type LayerEntry, LayerWriter } from "./layer-writer.ts";

export interface UnpackRequest {
	readonly path: string;
	readonly offset?: number;
	readonly length?: number;
	/** What the sha256 of the uncompressed tar must be. */
	readonly diffId: string;
	/** An existing empty directory that becomes the layer. */
	readonly directory: string;
}

type PaxHeader = tar.Header & { pax?: Record<string, string> | null };

interface RawExtract {
	_header: { type: string | null };
	_decodeLongHeader(bytes: Buffer): void;
}

/** Unpacks one layer into an empty directory; returns the bytes of its regular files. Throws when it is damaged or not the layer announced. */
export async function unpackLayer(request: UnpackRequest): Promise<{ size: number }> {
	const hash = createHash("sha256");
	const extract = tar.extract({ allowUnknownFormat: true } as object);
	const xattrs = captureXattrs(extract as unknown as RawExtract);
	const start = request.offset ?? 0;
	const end = request.length === undefined ? undefined : start + request.length - 1;
	const source = createReadStream(request.path, { start, end, highWaterMark: 256 * 1024 });
	const hashed = async function* (chunks: AsyncIterable<Buffer>) {
		for await (const chunk of chunks) {
			hash.update(chunk);
			yield chunk;
		}
	};
	const decoder = decoderOf(request.path, start);
	const sink = extract as unknown as NodeJS.WritableStream;
	const pumped = decoder ? pipeline(source, decoder, hashed, sink) : pipeline(source, hashed, sink);
	const written = writeEntries(extract, request.directory, xattrs).catch((error: unknown) => {
		extract.destroy(error instanceof Error ? error : new Error(String(error)));
		throw error;
	});
	const [size, pumping] = await Promise.allSettled([written, pumped]);
	if (size.status === "rejected") throw size.reason;
	if (pumping.status === "rejected") throw pumping.reason;
	const diffId = `sha256:${hash.digest("hex")}`;
	if (diffId !== request.diffId) throw new Error(`layer has diffID ${diffId}, expected ${request.diffId}`);
	return { size: size.value };
}

async function writeEntries(
	extract: ReturnType<typeof tar.extract>,
	directory: string,
	xattrs: () => ReadonlyMap<string, Uint8Array>,
): Promise<number> {
	using writer = new LayerWriter(directory);
	let size = 0;
	for await (const stream of extract) {
		const entry = entryOf(stream.header as PaxHeader, xattrs());
		const file = writer.begin(entry);
		if (file) {
			try {
				for await (const chunk of stream) size += writeAll(file.fd, chunk as Uint8Array);
			} catch (error) {
				closeSync(file.fd);
				throw error;
			}
			writer.finish(file, entry);
		} else {
			stream.resume();
		}
	}
	writer.complete();
	return size;
}

function writeAll(fd: number, chunk: Uint8Array): number {
	let done = 0;
	while (done < chunk.length) done += writeSync(fd, chunk, done);
	return done;
}

function entryOf(header: PaxHeader, xattrs: ReadonlyMap<string, Uint8Array>): LayerEntry {
	const type = header.type === "contiguous-file" ? "file" : header.type;
	const allowed = ["file", "directory", "symlink", "link", "fifo", "character-device", "block-device"];
	if (!type || !allowed.includes(type))
		throw new Error(`tar entry ${JSON.stringify(header.name)} has an unsupported type`);
	if (Object.keys(header.pax ?? {}).some((key) => key.startsWith("GNU.sparse."))) {
		throw new Error(`tar entry ${JSON.stringify(header.name)} is sparse, which is not supported`);
	}
	const mtime = Number(header.pax?.mtime ?? Number.NaN);
	return {
		name: header.name,
		type: type as LayerEntry["type"],
		mode: header.mode ?? 0,
		uid: Number(header.pax?.uid ?? header.uid ?? 0),
		gid: Number(header.pax?.gid ?? header.gid ?? 0),
		mtime: Number.isFinite(mtime) ? new Date(mtime * 1000) : (header.mtime ?? new Date(0)),
		linkname: header.linkname ?? "",
		devmajor: header.devmajor ?? 0,
		devminor: header.devminor ?? 0,
		xattrs,
	};
}

/**
 * tar-stream decodes pax values as UTF-8, which ruins binary ones such as security.capability: this keeps the raw bytes of the header that
 * stands before each entry. The returned function hands them out once.
 */
function captureXattrs(extract: RawExtract): () => ReadonlyMap<string, Uint8Array> {
	let raw = new Map<string, Uint8Array>();
	const decode = extract._decodeLongHeader.bind(extract);
	extract._decodeLongHeader = (bytes) => {
		if (extract._header.type === "pax-header") raw = paxXattrs(bytes);
		decode(bytes);
	};
	return () => {
		const taken = raw;
		raw = new Map();
		return taken;
	};
}

const XATTR = "SCHILY.xattr.";

/** The SCHILY.xattr.* records of a pax header: `<length> <key>=<value>\n` each, the length counting itself. */
export function paxXattrs(bytes: Uint8Array): Map<string, Uint8Array> {
	const found = new Map<string, Uint8Array>();
	let rest = Buffer.from(bytes);
	while (rest.length > 0) {
		const space = rest.indexOf(32);
		const length = Number(rest.subarray(0, Math.max(space, 0)).toString());
		if (space < 0 || !Number.isInteger(length) || length <= space + 1) break;
		const record = rest.subarray(space + 1, length - 1);
		const equals = record.indexOf(61);
		const key = record.subarray(0, Math.max(equals, 0)).toString();
		if (key.startsWith(XATTR)) found.set(key.slice(XATTR.length), record.subarray(equals + 1));
		rest = rest.subarray(length);
	}
	return found;
}

function decoderOf(path: string, offset: number): Duplex | undefined {
	const magic = Buffer.alloc(6);
	const fd = openSync(path, "r");
	try {
		readSync(fd, magic, 0, 6, offset);
	} finally {
		closeSync(fd);
	}
	return decoderFor(magic);
}

/** The decompressor that these first bytes ask for; undefined for plain data. Throws for formats that are not read. */
function decoderFor(magic: Buffer): Duplex | undefined {
	if (magic.readUInt16BE(0) === 0x1f8b) return createGunzip();
	if (magic.readUInt32LE(0) === 0xfd2fb528) return createZstdDecompress();
	if (magic.toString("latin1").startsWith("\xfd7zXZ"))
		throw new Error("xz compression is not supported: allowed are gzip, zstd and none");
	if (magic.toString("latin1").startsWith("BZh"))
		throw new Error("bzip2 compression is not supported: allowed are gzip, zstd and none");
	return undefined;
}
