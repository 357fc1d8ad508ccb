import { nowNanos } from "../../../shared/time.ts";
import type { LogStream } from "../driver.ts";

/**
 * docker's `local` format. An entry is its length (4 bytes, big endian), a protobuf message, and the length again, so that a file can be read
 * backwards. The message: 1 source ("stdout", "stderr"), 2 time (nanoseconds since the epoch), 3 the line without its newline, 4 whether the
 * newline is yet to come. Source: moby, api/types/plugins/logdriver/entry.proto and daemon/logger/local.
 */
export const LENGTH_BYTES = 4;
export const TAG = { source: 0x0a, time: 0x10, line: 0x1a, partial: 0x20, metadata: 0x2a } as const;

const NEWLINE = 10;

/** The entries of runs of lines (and of pieces without a newline) that share stream and time. */
export function encodeEntries(runs: readonly Uint8Array[], stream: LogStream): Buffer {
	const head = headOf(stream, nowNanos());
	const lines = runs.map(endsOf);
	const count = lines.reduce((sum, { length }) => sum + length, 0);
	const content = runs.reduce((sum, { length }) => sum + length, 0);
	// Tag and length of a line take four bytes up to 16 KiB, the mark of a piece two.
	const out = Buffer.allocUnsafe(content + count * (2 * LENGTH_BYTES + head.length + 6));
	let at = 0;
	runs.forEach((run, index) => {
		const source = Buffer.from(run.buffer, run.byteOffset, run.byteLength);
		let start = 0;
		for (const end of lines[index] ?? []) {
			const whole = source[end - 1] === NEWLINE;
			at = putEntry(out, at, head, source, start, whole ? end - 1 : end, whole);
			start = end;
		}
	});
	return out.subarray(0, at);
}

function putEntry(
	out: Buffer,
	begin: number,
	head: Uint8Array,
	source: Buffer,
	start: number,
	end: number,
	whole: boolean,
): number {
	let at = begin + LENGTH_BYTES;
	out.set(head, at);
	at += head.length;
	out[at++] = TAG.line;
	at = putVarint(out, at, end - start);
	source.copy(out, at, start, end);
	at += end - start;
	if (!whole) {
		out[at++] = TAG.partial;
		out[at++] = 1;
	}
	const length = at - begin - LENGTH_BYTES;
	putLength(out, begin, length);
	putLength(out, at, length);
	return at + LENGTH_BYTES;
}

/** Ends of the lines of a run, newline included. */
function endsOf(run: Uint8Array): number[] {
	const ends: number[] = [];
	for (let at = run.indexOf(NEWLINE); at >= 0; at = run.indexOf(NEWLINE, at + 1)) ends.push(at + 1);
	if (ends.at(-1) !== run.length) ends.push(run.length);
	return ends;
}

function headOf(stream: LogStream, time: bigint): Uint8Array {
	const bytes = [TAG.source, stream.length, ...Buffer.from(stream), TAG.time];
	let rest = time;
	for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
	return new Uint8Array([...bytes, Number(rest)]);
}

function putVarint(out: Uint8Array, from: number, value: number): number {
	let at = from;
	let rest = value;
	for (; rest >= 0x80; rest >>>= 7) out[at++] = (rest & 0x7f) | 0x80;
	out[at++] = rest;
	return at;
}

function putLength(out: Uint8Array, at: number, value: number): void {
	out[at] = value >>> 24;
	out[at + 1] = value >>> 16;
	out[at + 2] = value >>> 8;
	out[at + 3] = value;
}
