import { watch } from "node:fs";
import { type FileHandle, open, readdir, rm } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { LogReader, LogReadOptions } from "../driver.ts";
import { decodeLines } from "./decode.ts";

const BLOCK_BYTES = 1024 * 1024;
const NEWLINE = 10;
/** Should an event be lost, a follower looks anyway. */
const LOOK_AGAIN_MS = 1000;

/** Reads json-file logs: docker's, and those of this folder's writer. */
export function createJsonFileLogReader(): LogReader {
	return {
		read: (path, options, signal) => readLog(path, options, signal),
		async remove(path) {
			const files = [path, ...(await rotatedFiles(path))];
			await Promise.all(files.map((file) => rm(file, { force: true })));
		},
	};
}

async function* readLog(path: string, options: LogReadOptions, signal: AbortSignal): AsyncGenerator<Uint8Array> {
	if (options.tail === 0 && !options.follow) return;
	// Before anything is read, so that no event is missed.
	const events = options.follow ? watchLog(path, options.ended, signal) : undefined;
	try {
		const older = (await rotatedFiles(path)).reverse();
		let file = await openLog(path);
		const starts = await startOffsets([...older, path], options.tail);
		for (const name of older) {
			const handle = await openLog(name);
			if (handle) yield* readWhole(handle, starts.get(name), options, signal);
		}
		let at = starts.get(path) ?? (options.tail === undefined ? 0 : undefined);
		for (;;) {
			const final = events?.ended() ?? true;
			if (file && at !== undefined) {
				const position = { at };
				yield* readFrom(file, position, options, signal);
				at = position.at;
			}
			if (signal.aborted) break;
			const next = file && (await isRotated(file, path)) ? await openLog(path) : undefined;
			if (file && next) {
				// What was written between the last read and the rotation, then the new file.
				const position = { at: at ?? 0 };
				yield* readFrom(file, position, options, signal);
				await file.close();
				file = next;
				at = 0;
				continue;
			}
			if (!events || final) break;
			await events.next();
			file ??= await openLog(path);
			at ??= 0;
		}
		await file?.close();
	} finally {
		events?.close();
	}
}

async function* readWhole(
	file: FileHandle,
	at: number | undefined,
	options: LogReadOptions,
	signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
	try {
		if (at !== undefined) yield* readFrom(file, { at }, options, signal);
	} finally {
		await file.close();
	}
}

/** Whole lines from `position` to the end of the file as it is now; `position` moves past them. */
async function* readFrom(
	file: FileHandle,
	position: { at: number },
	options: LogReadOptions,
	signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
	let block = Buffer.allocUnsafe(BLOCK_BYTES);
	while (!signal.aborted) {
		const { bytesRead } = await file.read(block, 0, block.length, position.at);
		if (bytesRead === 0) return;
		const end = block.subarray(0, bytesRead).lastIndexOf(NEWLINE) + 1;
		if (end === 0) {
			if (bytesRead < block.length) return;
			block = Buffer.allocUnsafe(block.length * 2);
			continue;
		}
		position.at += end;
		yield* decodeLines(block.toString("utf8", 0, end), options);
	}
}

/** Where to begin in each file (oldest first) so that `tail` lines are read; a file not in the map is skipped. */
async function startOffsets(files: readonly string[], tail: number | undefined): Promise<Map<string, number>> {
	const starts = new Map<string, number>();
	let missing = tail ?? Number.POSITIVE_INFINITY;
	for (const name of [...files].reverse()) {
		const file = await openLog(name);
		if (!file) continue;
		try {
			if (tail === undefined) starts.set(name, 0);
			else {
				const { offset, lines } = await tailOffset(file, missing);
				starts.set(name, offset);
				missing -= lines;
			}
		} finally {
			await file.close();
		}
		if (missing <= 0) break;
	}
	return starts;
}

/** Offset of the last `count` lines, and how many there are up to that number. Reads backwards. */
async function tailOffset(file: FileHandle, count: number): Promise<{ offset: number; lines: number }> {
	const { size } = await file.stat();
	if (count <= 0) return { offset: size, lines: 0 };
	const block = Buffer.allocUnsafe(64 * 1024);
	let lines = 0;
	for (let end = size; end > 0; ) {
		const start = Math.max(0, end - block.length);
		const { bytesRead } = await file.read(block, 0, end - start, start);
		for (let at = bytesRead - 1; at >= 0; at--) {
			at = block.lastIndexOf(NEWLINE, at);
			if (at < 0) break;
			// The newline at the very end closes the last line; each one before it begins a line.
			if (start + at + 1 === size) continue;
			if (++lines === count) return { offset: start + at + 1, lines };
		}
		end = start;
	}
	return { offset: 0, lines: size > 0 ? lines + 1 : 0 };
}

interface LogEvents {
	/** The next change of the log, or the end of its writer. */
	next(): Promise<void>;
	/** Whether the writer has ended: what is read after this was true is all. */
	ended(): boolean;
	close(): void;
}

function watchLog(path: string, ended: Promise<void> | undefined, signal: AbortSignal): LogEvents {
	let over = false;
	let changed = false;
	let wake: () => void = () => {};
	const tell = () => {
		changed = true;
		wake();
	};
	const name = basename(path);
	const watcher = watch(dirname(path), (_event, file) => {
		if (file === null || file === name) tell();
	});
	watcher.on("error", tell);
	const timer = setInterval(tell, LOOK_AGAIN_MS);
	ended?.then(() => {
		over = true;
		tell();
	});
	signal.addEventListener("abort", tell);
	return {
		ended: () => over || signal.aborted,
		async next() {
			if (!changed) {
				await new Promise<void>((resolve) => {
					wake = resolve;
				});
			}
			changed = false;
		},
		close() {
			watcher.close();
			clearInterval(timer);
			signal.removeEventListener("abort", tell);
		},
	};
}

async function isRotated(file: FileHandle, path: string): Promise<boolean> {
	const current = await openLog(path);
	if (!current) return false;
	try {
		return (await current.stat()).ino !== (await file.stat()).ino;
	} finally {
		await current.close();
	}
}

async function openLog(path: string): Promise<FileHandle | undefined> {
	try {
		return await open(path, "r");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw error;
	}
}

/** `path.1`, `path.2`, ... newest first. */
async function rotatedFiles(path: string): Promise<string[]> {
	const prefix = `${basename(path)}.`;
	const names = await readdir(dirname(path)).catch(() => []);
	return names
		.flatMap((name) =>
			name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)) ? [Number(name.slice(prefix.length))] : [],
		)
		.sort((a, b) => a - b)
		.map((n) => `${path}.${n}`);
}
