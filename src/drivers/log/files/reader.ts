import { type FileHandle, rm } from "node:fs/promises";
import type { LogReader, LogReadOptions } from "../driver.ts";
import { jsonFileFormat } from "../json-file/format.ts";
import { localFormat } from "../local/format.ts";
import type { LogFormat } from "./format.ts";
import { closeAll, filesOf, type LogFile, openNewer, openRow } from "./row.ts";
import { type LogEvents, watchLog } from "./watch.ts";

const BLOCK_BYTES = 1024 * 1024;

const FORMATS: Record<NonNullable<LogReadOptions["format"]>, LogFormat> = {
	"json-file": jsonFileFormat,
	local: localFormat,
};

/** Reads the logs that lie in files: docker's, and those of this folder's writers. */
export function createLogReader(): LogReader {
	return {
		read: (path, options, signal) => readLog(path, options, signal),
		async remove(path) {
			await Promise.all((await filesOf(path)).map((file) => rm(file, { force: true })));
		},
	};
}

async function* readLog(path: string, options: LogReadOptions, signal: AbortSignal): AsyncGenerator<Uint8Array> {
	if (options.tail === 0 && !options.follow) return;
	// Before anything is read, so that no event is missed.
	const events = options.follow ? watchLog(path, options, signal) : undefined;
	const format = FORMATS[options.format ?? "json-file"];
	// Asked before each look: what is found after the end is all there is.
	let final = events?.ended() ?? true;
	let row = await openRow(path);
	try {
		let at = await startIn(row, options.tail, format);
		for (;;) {
			for (let [file] = row; file && !signal.aborted; [file] = row) {
				const position = { at };
				const content = await file.content();
				const read = () => readFrom(content, position, format, options, signal);
				if (row.length === 1) row = [file, ...(yield* readCurrent(file, path, read, events, signal))];
				// All of an older file; of the one that was current, what was written between the last look and its rotation.
				yield* read();
				if (row.length === 1) return;
				row = row.slice(1);
				at = 0;
				await file.close();
			}
			if (signal.aborted || !events || final) return;
			// Nothing has been written yet.
			await events.next();
			final = events.ended();
			row = await openRow(path);
		}
	} finally {
		events?.close();
		await closeAll(row);
	}
}

/** Reads the current file as long as it is that and something can come; the files that came after it, none when the end is reached. */
async function* readCurrent(
	file: LogFile,
	path: string,
	read: () => AsyncIterable<Uint8Array>,
	events: LogEvents | undefined,
	signal: AbortSignal,
): AsyncGenerator<Uint8Array, LogFile[]> {
	for (;;) {
		const final = events?.ended() ?? true;
		yield* read();
		if (signal.aborted) return [];
		const newer = await openNewer(file, path);
		if (newer) return newer;
		if (!events || final) return [];
		await events.next();
	}
}

/** Whole entries from `position` to the end of the file as it is now; `position` moves past them. */
async function* readFrom(
	file: FileHandle,
	position: { at: number },
	format: LogFormat,
	options: LogReadOptions,
	signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
	let block = Buffer.allocUnsafe(BLOCK_BYTES);
	while (!signal.aborted) {
		const { bytesRead } = await file.read(block, 0, block.length, position.at);
		if (bytesRead === 0) return;
		const { out, used } = format.decode(block.subarray(0, bytesRead), options);
		if (used === 0) {
			if (bytesRead < block.length) return;
			block = Buffer.allocUnsafe(block.length * 2);
			continue;
		}
		position.at += used;
		yield* out;
	}
}

/** Drops (and closes) the files of `row` that `tail` lines do not reach into; where to begin in the first that is left. */
async function startIn(row: LogFile[], tail: number | undefined, format: LogFormat): Promise<number> {
	if (tail === undefined) return 0;
	let missing = tail;
	for (let index = row.length - 1; index >= 0; index--) {
		const file = row[index];
		if (!file) break;
		const { offset, lines } = await format.tail(await file.content(), missing);
		missing -= lines;
		if (missing > 0) continue;
		await closeAll(row.splice(0, index));
		return offset;
	}
	return 0;
}
