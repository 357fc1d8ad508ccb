import { createWriteStream, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join, posix } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import tar from "tar-stream";
import { EngineError, messageOf } from "../../shared/errors.ts";
import type { Archive, Content } from "./driver.ts";

const READ_LIMIT = 8 * 1024 * 1024;
/** Smaller files are spooled: they may be anything, and cost nothing. */
const LAYER_SIZE = 64 * 1024;

/** Spools below `root` (made when missing; what an earlier process left there is deleted). */
export function createContent(root: string): Content {
	rmSync(root, { recursive: true, force: true });
	mkdirSync(root, { recursive: true, mode: 0o700 });
	const within = async <T>(work: (directory: string) => Promise<T>): Promise<T> => {
		const directory = mkdtempSync(join(root, "spool-"));
		try {
			return await work(directory);
		} catch (cause) {
			await rm(directory, { recursive: true, force: true });
			throw asEngineError(cause);
		}
	};
	return {
		spoolArchive: (body, takeLayer) => within((directory) => spoolArchive(body, directory, takeLayer)),
	};
}

async function spoolArchive<Layer extends AsyncDisposable>(
	body: AsyncIterable<Uint8Array>,
	directory: string,
	takeLayer: TakeLayer<Layer> | undefined,
): Promise<Archive<Layer>> {
	const found: Found<Layer> = { files: new Map(), layers: new Map(), links: new Map() };
	const close = async () => {
		for (const { taken } of found.layers.values()) await dispose(taken);
		await rm(directory, { recursive: true, force: true });
	};
	const extract = tar.extract({ allowUnknownFormat: true } as object);
	const pumped = pipeline(await decompressed(body), extract as unknown as NodeJS.WritableStream);
	const collected = collect(extract, directory, found, takeLayer).catch((error: unknown) => {
		extract.destroy(error instanceof Error ? error : new Error(String(error)));
		throw error;
	});
	const failed = (await Promise.allSettled([collected, pumped])).find((one) => one.status === "rejected");
	if (failed) {
		await close();
		throw failed.reason;
	}
	const resolve = (name: string) => {
		let at = posix.normalize(name);
		for (let hops = 0; hops < 8 && found.links.has(at); hops++) at = found.links.get(at) ?? at;
		return at;
	};
	return {
		file: (name) => found.files.get(resolve(name)),
		layer: (name) => found.layers.get(resolve(name)),
		async read(name) {
			const file = found.files.get(resolve(name));
			if (!file) throw new EngineError("invalid", `invalid archive: ${name} is missing`);
			if (file.size > READ_LIMIT) throw new EngineError("invalid", `invalid archive: ${name} is larger than 8 MiB`);
			return await readFile(file.path);
		},
		[Symbol.asyncDispose]: close,
	};
}

type TakeLayer<Layer> = (bytes: AsyncIterable<Uint8Array>, name: string) => Promise<Layer>;

/** By cleaned name. */
interface Found<Layer> {
	readonly files: Map<string, { path: string; size: number }>;
	readonly layers: Map<string, { taken: Promise<Layer>; size: number }>;
	readonly links: Map<string, string>;
}

async function dispose(taken: Promise<AsyncDisposable>): Promise<void> {
	const layer = await taken.catch(() => undefined);
	await layer?.[Symbol.asyncDispose]();
}

/** Each file of the archive goes to a file named by its number: names from outside never become paths. */
async function collect<Layer extends AsyncDisposable>(
	extract: ReturnType<typeof tar.extract>,
	directory: string,
	found: Found<Layer>,
	takeLayer: TakeLayer<Layer> | undefined,
): Promise<void> {
	let number = 0;
	for await (const entry of extract) {
		const { name, type, linkname, size = 0 } = entry.header;
		const key = posix.normalize(name);
		if (type === "file" || type === "contiguous-file") {
			await forget(found, key);
			const reader = new EntryReader(entry as AsyncIterable<Uint8Array>);
			if (takeLayer && size >= LAYER_SIZE && isLayer(await reader.head(512), key)) {
				found.layers.set(key, { ...(await take(reader, (bytes) => takeLayer(bytes, key))), size });
				continue;
			}
			const path = join(directory, String(number++));
			await pipeline(reader.rest(), createWriteStream(path));
			found.files.set(key, { path, size });
			continue;
		}
		if (type === "symlink") found.links.set(key, posix.normalize(posix.join(posix.dirname(key), linkname ?? "")));
		if (type === "link") found.links.set(key, posix.normalize(linkname ?? ""));
		entry.resume();
	}
}

/** A later entry of a name replaces the earlier. */
async function forget(found: Found<AsyncDisposable>, key: string): Promise<void> {
	const layer = found.layers.get(key);
	found.layers.delete(key);
	found.files.delete(key);
	found.links.delete(key);
	if (layer) await dispose(layer.taken);
}

/**
 * Hands an entry over; resolves when all of it was read, not when the layer is done: the next entry may start. What the taker leaves is skipped.
 */
async function take<Layer>(
	entry: EntryReader,
	takeLayer: (bytes: AsyncIterable<Uint8Array>) => Promise<Layer>,
): Promise<{ taken: Promise<Layer> }> {
	const read = Promise.withResolvers<void>();
	const bytes = async function* () {
		yield* entry.rest();
		read.resolve();
	};
	const taken = takeLayer(bytes());
	await Promise.race([read.promise, taken.catch(() => undefined)]);
	for await (const _ of entry.rest()) {
	}
	return { taken };
}

/** Reads an entry of the tar, its first bytes twice. One that is left in the middle can be gone on with, which a stream's own iterator forbids. */
class EntryReader {
	private readonly iterator: AsyncIterator<Uint8Array>;
	private queue: Promise<unknown> = Promise.resolve();
	private seen: Uint8Array[] = [];

	constructor(entry: AsyncIterable<Uint8Array>) {
		this.iterator = entry[Symbol.asyncIterator]();
	}

	async head(length: number): Promise<Buffer> {
		let have = 0;
		while (have < length) {
			const next = await this.iterator.next();
			if (next.done) break;
			this.seen.push(next.value);
			have += next.value.length;
		}
		return Buffer.concat(this.seen).subarray(0, length);
	}

	async *rest(): AsyncGenerator<Uint8Array> {
		for (let bytes = await this.next(); bytes; bytes = await this.next()) yield bytes;
	}

	/** One after the other, whoever asks. */
	private next(): Promise<Uint8Array | undefined> {
		const next = this.queue.then(async () => {
			const seen = this.seen.shift();
			if (seen) return seen;
			const read = await this.iterator.next();
			return read.done ? undefined : read.value;
		});
		this.queue = next.catch(() => undefined);
		return next;
	}
}

/**
 * A tar, or something compressed: nothing else in an archive of images is. What an OCI layout has packed may be part of an index that is kept as it
 * is, which is known at the archive's end: it is spooled.
 */
function isLayer(head: Buffer, name: string): boolean {
	const magic = head.toString("latin1", 0, 4);
	const isPacked = magic.startsWith("\x1f\x8b") || magic === "\x28\xb5\x2f\xfd";
	return isPacked ? !name.startsWith("blobs/") : head.toString("latin1", 257, 262) === "ustar";
}

async function decompressed(body: AsyncIterable<Uint8Array>): Promise<Readable> {
	const iterator = body[Symbol.asyncIterator]();
	const head: Uint8Array[] = [];
	let length = 0;
	while (length < 6) {
		const next = await iterator.next();
		if (next.done) break;
		head.push(next.value);
		length += next.value.length;
	}
	const source = Readable.from(
		(async function* () {
			try {
				yield* head;
				for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
			} finally {
				await iterator.return?.();
			}
		})(),
		{ objectMode: false },
	);
	const decoder = decoderOf(Buffer.concat(head).subarray(0, 6).toString("latin1"));
	if (!decoder) return source;
	source.on("error", (error) => decoder.destroy(error));
	return source.pipe(decoder);
}

function decoderOf(magic: string) {
	if (magic.startsWith("\x1f\x8b")) return createGunzip();
	if (magic.startsWith("\x28\xb5\x2f\xfd")) return createZstdDecompress();
	const refused = magic.startsWith("\xfd7zXZ") ? "xz" : magic.startsWith("BZh") ? "bzip2" : undefined;
	if (refused)
		throw new EngineError("invalid", `${refused} compression is not supported: allowed are gzip, zstd and none`);
	return undefined;
}

function asEngineError(cause: unknown): EngineError {
	if (cause instanceof EngineError) return cause;
	if (/ENOSPC/.test(messageOf(cause)))
		return new EngineError("internal", "cannot store archive: no space left on device", { cause });
	return new EngineError("invalid", `invalid archive: ${messageOf(cause)}`, { cause });
}
