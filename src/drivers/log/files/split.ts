import type { LogStream } from "../driver.ts";

/** Docker cuts a longer line into entries of so many bytes; only the last ends in a newline. */
export const MAX_ENTRY_BYTES = 16 * 1024;

const NEWLINE = 10;

/** Cuts a stream's bytes into what can be logged now and what waits for the rest of its line. */
export function splitLines(data: Uint8Array): { readonly entries: Uint8Array[]; readonly rest: Uint8Array } {
	const entries: Uint8Array[] = [];
	let start = 0; // of what is not yet in entries
	let at = 0; // a line begins here
	while (data.length - at > 0) {
		const limit = Math.min(at + MAX_ENTRY_BYTES, data.length);
		const newline = data.lastIndexOf(NEWLINE, limit - 1);
		if (newline >= at) {
			at = newline + 1;
			continue;
		}
		if (limit === data.length && limit - at < MAX_ENTRY_BYTES) break;
		const cut = characterStart(data, limit);
		if (at > start) entries.push(data.subarray(start, at));
		entries.push(data.subarray(at, cut));
		start = cut;
		at = cut;
	}
	if (at > start) entries.push(data.subarray(start, at));
	return { entries, rest: data.subarray(at) };
}

/** The last position at or before `limit` at which no UTF-8 character is cut. */
function characterStart(data: Uint8Array, limit: number): number {
	for (let at = limit; at > limit - 4; at--) {
		if (((data[at] ?? 0) & 0xc0) !== 0x80) return at;
	}
	return limit;
}

/** Keeps the beginning of each stream's line until its end comes. */
export class LineBuffer {
	private readonly rest: Record<LogStream, Uint8Array> = { stdout: EMPTY, stderr: EMPTY };

	/** What `chunk` completes: runs of whole lines, and pieces of one too long. */
	push(stream: LogStream, chunk: Uint8Array): Uint8Array[] {
		const begun = this.rest[stream];
		const end = begun.length > 0 ? chunk.indexOf(NEWLINE) + 1 : 0;
		// Only the line that it ends is put together, not all of a large chunk.
		const isShort = end > 0 && begun.length + end <= MAX_ENTRY_BYTES;
		const first = isShort ? [Buffer.concat([begun, chunk.subarray(0, end)])] : [];
		const whole = begun.length > 0 && !isShort;
		const { entries, rest } = splitLines(whole ? Buffer.concat([begun, chunk]) : chunk.subarray(end));
		// A copy: the chunk may be large, and is the reader's.
		this.rest[stream] = rest.length > 0 ? rest.slice() : EMPTY;
		return [...first, ...entries];
	}

	/** The last lines, that lack their newline. */
	finish(): [LogStream, Uint8Array][] {
		return (["stdout", "stderr"] as const).flatMap((stream) => {
			const rest = this.rest[stream];
			this.rest[stream] = EMPTY;
			return rest.length > 0 ? [[stream, rest] satisfies [LogStream, Uint8Array]] : [];
		});
	}
}

const EMPTY = new Uint8Array(0);
