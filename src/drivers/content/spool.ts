import { createHash } from "node:crypto";
import { createWriteStream, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join, posix } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import tar from "tar-stream";
import { EngineError, messageOf } from "../../shared/errors.ts";
import type { Archive, Content, SpooledLayer } from "./driver.ts";

const READ_LIMIT = 8 * 1024 * 1024;

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
		spoolArchive: (body) => within((directory) => spoolArchive(body, directory)),
		spoolLayer: (body) => within((directory) => spoolLayer(body, directory)),
	};
}

async function spoolLayer(body: AsyncIterable<Uint8Array>, directory: string): Promise<SpooledLayer> {
	const hash = createHash("sha256");
	const path = join(directory, "layer.tar");
	const hashed = async function* (chunks: AsyncIterable<Uint8Array>) {
		for await (const chunk of chunks) {
			hash.update(chunk);
			yield chunk;
		}
	};
	await pipeline(await decompressed(body), hashed, createWriteStream(path));
	const diffId = `sha256:${hash.digest("hex")}`;
	return { path, diffId, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}

async function spoolArchive(body: AsyncIterable<Uint8Array>, directory: string): Promise<Archive> {
	const files = new Map<string, { path: string; size: number }>();
	const links = new Map<string, string>();
	const extract = tar.extract({ allowUnknownFormat: true } as object);
	const pumped = pipeline(await decompressed(body), extract as unknown as NodeJS.WritableStream);
	const collected = collect(extract, directory, files, links).catch((error: unknown) => {
		extract.destroy(error instanceof Error ? error : new Error(String(error)));
		throw error;
	});
	const [collecting, pumping] = await Promise.allSettled([collected, pumped]);
	if (collecting.status === "rejected") throw collecting.reason;
	if (pumping.status === "rejected") throw pumping.reason;
	const file = (name: string) => {
		let at = posix.normalize(name);
		for (let hops = 0; hops < 8 && links.has(at); hops++) at = links.get(at) ?? at;
		return files.get(at);
	};
	return {
		file,
		async read(name) {
			const found = file(name);
			if (!found) throw new EngineError("invalid", `invalid archive: ${name} is missing`);
			if (found.size > READ_LIMIT) throw new EngineError("invalid", `invalid archive: ${name} is larger than 8 MiB`);
			return await readFile(found.path);
		},
		[Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
	};
}

/** Each file of the archive goes to a file named by its number: names from outside never become paths. */
async function collect(
	extract: ReturnType<typeof tar.extract>,
	directory: string,
	files: Map<string, { path: string; size: number }>,
	links: Map<string, string>,
): Promise<void> {
	let number = 0;
	for await (const entry of extract) {
		const { name, type, linkname, size = 0 } = entry.header;
		const key = posix.normalize(name);
		if (type === "file" || type === "contiguous-file") {
			const path = join(directory, String(number++));
			await pipeline(entry, createWriteStream(path));
			files.set(key, { path, size });
			links.delete(key);
			continue;
		}
		if (type === "symlink") links.set(key, posix.normalize(posix.join(posix.dirname(key), linkname ?? "")));
		if (type === "link") links.set(key, posix.normalize(linkname ?? ""));
		entry.resume();
	}
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
