import { closeSync, fstatSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { nowNano } from "../../../shared/time.ts";
import { encodeEntry, encodeLines, splitLines } from "./encode.ts";
import type { LogStream } from "./stream.ts";

export interface JsonFileLogOptions {
	readonly path: string;
	/** Bytes after which the file is rotated; 0: never. */
	readonly maxSize: number;
	/** Files kept, the current one included. */
	readonly maxFiles: number;
}

/** Appends a container's output to docker's json-file log: `{"log":"text\n","stream":"stdout","time":"..."}` per line. */
export interface JsonFileLog {
	/** A promise when the disk is behind: hand over no more of this log until it settles. Output is never dropped. */
	write(stream: LogStream, chunk: Uint8Array): Promise<void> | undefined;
	/** Writes what is left (a last line without newline). */
	close(): Promise<void>;
}

/** Written at once on the event loop; more goes by a thread, so that a slow disk holds back only the container that floods. */
const SYNC_BYTES = 64 * 1024;
const DISK_FULL_RETRY_MS = 1000;

/** Opens (or makes, 0640) the log. Throws when it cannot. */
export function openJsonFileLog(options: JsonFileLogOptions): JsonFileLog {
	return new JsonFileWriter(options);
}

class JsonFileWriter implements JsonFileLog {
	private fd: number;
	private size: number;
	private readonly rest: Record<LogStream, Uint8Array> = { stdout: EMPTY, stderr: EMPTY };
	private pending: Promise<void> | undefined;

	constructor(private readonly options: JsonFileLogOptions) {
		this.fd = openSync(options.path, "a", 0o640);
		this.size = fstatSync(this.fd).size;
	}

	write(stream: LogStream, chunk: Uint8Array): Promise<void> | undefined {
		const before = this.rest[stream];
		const { entries, rest } = splitLines(before.length > 0 ? Buffer.concat([before, chunk]) : chunk);
		// A copy: the chunk may be large, and is the reader's.
		this.rest[stream] = rest.length > 0 ? rest.slice() : EMPTY;
		return entries.length > 0 ? this.append(Buffer.from(encode(entries, stream))) : this.pending;
	}

	async close(): Promise<void> {
		await this.pending;
		for (const stream of ["stdout", "stderr"] as const) {
			const rest = this.rest[stream];
			this.rest[stream] = EMPTY;
			if (rest.length > 0) await this.append(Buffer.from(encode([rest], stream)));
		}
		await this.pending;
		closeSync(this.fd);
	}

	private append(data: Buffer): Promise<void> | undefined {
		if (this.pending === undefined && data.length <= SYNC_BYTES) {
			try {
				return this.put(data, writeSync(this.fd, data));
			} catch {
				// the disk is full: the slow way waits for room
			}
		}
		const previous = this.pending ?? Promise.resolve();
		const mine: Promise<void> = previous
			.then(() => this.appendSlowly(data))
			.finally(() => {
				if (this.pending === mine) this.pending = undefined;
			});
		this.pending = mine;
		return mine;
	}

	/** After a synchronous write: a short one is finished behind. */
	private put(data: Buffer, written: number): Promise<void> | undefined {
		this.size += written;
		if (written < data.length) return this.append(data.subarray(written));
		this.rotateIfFull();
		return undefined;
	}

	private async appendSlowly(data: Buffer): Promise<void> {
		const file = await open(this.options.path, "a");
		try {
			for (let done = 0; done < data.length; ) {
				try {
					const { bytesWritten } = await file.write(data, done);
					done += bytesWritten;
					this.size += bytesWritten;
				} catch {
					// ENOSPC: the container is held back until there is room, as docker does
					await Bun.sleep(DISK_FULL_RETRY_MS);
				}
			}
		} finally {
			await file.close();
		}
		this.rotateIfFull();
	}

	/** path -> path.1 -> path.2 ...; the oldest goes. Only between entries. */
	private rotateIfFull(): void {
		const { path, maxSize, maxFiles } = this.options;
		if (maxSize <= 0 || this.size < maxSize) return;
		closeSync(this.fd);
		// First, because it takes a while for a large one: between the renames and the new file there is no log at `path`.
		rmSync(`${path}.${maxFiles - 1}`, { force: true });
		for (let n = maxFiles - 1; n > 0; n--) renameQuietly(n === 1 ? path : `${path}.${n - 1}`, `${path}.${n}`);
		if (maxFiles <= 1) rmSync(path, { force: true });
		this.fd = openSync(path, "a", 0o640);
		this.size = 0;
	}
}

const EMPTY = new Uint8Array(0);
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function encode(entries: readonly Uint8Array[], stream: LogStream): string {
	const time = nowNano();
	return entries
		.map((entry) => {
			const text = decoder.decode(entry);
			return text.endsWith("\n") ? encodeLines(text, stream, time) : encodeEntry(text, stream, time);
		})
		.join("");
}

function renameQuietly(from: string, to: string): void {
	try {
		renameSync(from, to);
	} catch {
		// not that many files yet
	}
}
