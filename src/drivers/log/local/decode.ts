import { FRAME_HEADER_BYTES, STDERR, STDOUT, writeFrameHeader } from "../../../shared/stdcopy.ts";
import { formatNano } from "../../../shared/time.ts";
import type { LogStream } from "../driver.ts";
import type { Wanted } from "../files/format.ts";
import { LENGTH_BYTES, TAG } from "./encode.ts";

const NEWLINE = 10;
const BLANK = 32;
/** 'stdo' and 'stde' differ here: the fourth letter. */
const ERR = 0x65;

/** What a client gets for the whole entries in `block`, and how many bytes they are. */
export function decodeEntries(block: Buffer, wanted: Wanted): { out: Uint8Array[]; used: number } {
	const output = new Output(block.length, wanted);
	const range = wanted.since !== undefined || wanted.until !== undefined;
	const times = new Times();
	let at = 0;
	while (block.length - at >= 2 * LENGTH_BYTES) {
		const length = lengthAt(block, at);
		const next = at + length + 2 * LENGTH_BYTES;
		if (next > block.length) break;
		const entry = readEntry(block, at + LENGTH_BYTES, at + LENGTH_BYTES + length);
		at = next;
		if (!wanted[entry.stream]) continue;
		const time = range || wanted.timestamps ? times.of(block, entry.timeAt) : undefined;
		if (time && !inRange(time.nanos, wanted)) continue;
		output.put(entry, block, wanted.timestamps ? time?.stamp : undefined);
	}
	return { out: output.finish(), used: at };
}

/** The big-endian length at `at`. */
export function lengthAt(block: Uint8Array, at: number): number {
	return (
		(block[at] ?? 0) * 0x1000000 + (((block[at + 1] ?? 0) << 16) | ((block[at + 2] ?? 0) << 8) | (block[at + 3] ?? 0))
	);
}

interface Entry {
	readonly stream: LogStream;
	/** Where its time's varint begins. */
	readonly timeAt: number;
	readonly start: number;
	readonly end: number;
	readonly partial: boolean;
}

function readEntry(block: Uint8Array, from: number, to: number): Entry {
	let stream: LogStream = "stdout";
	let [timeAt, start, end] = [-1, from, from];
	let partial = false;
	for (let at = from; at < to; ) {
		const tag = block[at++] ?? 0;
		if (tag === TAG.time) timeAt = at;
		let value = 0;
		let scale = 1;
		for (;;) {
			const byte = block[at++] ?? 0;
			value += (byte & 0x7f) * scale;
			if (byte < 0x80) break;
			scale *= 0x80;
		}
		if ((tag & 7) !== 2) {
			if (tag === TAG.partial) partial = value !== 0;
			continue;
		}
		if (tag === TAG.source) stream = block[at + 3] === ERR ? "stderr" : "stdout";
		else if (tag === TAG.line) [start, end] = [at, at + value];
		// docker's own say which piece of a line it is: `last` is the first field, true
		else if (tag === TAG.metadata && block[at] === 0x08 && block[at + 1] === 1) partial = false;
		at += value;
	}
	return { stream, timeAt, start, end, partial };
}

function inRange(time: bigint, { since, until }: Wanted): boolean {
	return (since === undefined || time >= since) && (until === undefined || time <= until);
}

/** Entries that come together share their time: it is worked out once. */
class Times {
	private low = -1;
	private high = -1;
	private last = { nanos: 0n, stamp: "" };

	of(block: Uint8Array, at: number): { readonly nanos: bigint; readonly stamp: string } {
		let [low, high, index] = [0, 0, at];
		// 63 bits: 28 in one number, 35 in the other
		for (let shift = 0; index < at + 10 && at >= 0; shift++) {
			const byte = block[index++] ?? 0;
			if (shift < 4) low += (byte & 0x7f) * 0x80 ** shift;
			else high += (byte & 0x7f) * 0x80 ** (shift - 4);
			if (byte < 0x80) break;
		}
		if (low !== this.low || high !== this.high) {
			const nanos = (BigInt(high) << 28n) + BigInt(low);
			this.last = { nanos, stamp: `${formatNano(nanos)} ` };
			this.low = low;
			this.high = high;
		}
		return this.last;
	}
}

/** Lines as clients get them, in buffers that hold many: each in a frame of its own, as docker sends them. */
class Output {
	private buffer: Buffer;
	private at = 0;
	private readonly full: Uint8Array[] = [];

	constructor(
		blockBytes: number,
		private readonly wanted: Wanted,
	) {
		// An entry has more around its line than a frame has, but for the time stamp.
		this.buffer = Buffer.allocUnsafe(blockBytes + FRAME_HEADER_BYTES);
	}

	put({ stream, start, end, partial }: Entry, source: Buffer, stamp: string | undefined): void {
		const { raw, details } = this.wanted;
		const extra = (stamp?.length ?? 0) + (details ? 1 : 0) + (partial ? 0 : 1);
		const length = end - start + extra;
		if (this.at + FRAME_HEADER_BYTES + length > this.buffer.length) this.renew(length);
		if (!raw) {
			writeFrameHeader(this.buffer, this.at, stream === "stdout" ? STDOUT : STDERR, length);
			this.at += FRAME_HEADER_BYTES;
		}
		if (stamp !== undefined) this.at += this.buffer.write(stamp, this.at, "latin1");
		// It has no attributes, and docker sets a blank for them all the same.
		if (details) this.buffer[this.at++] = BLANK;
		source.copy(this.buffer, this.at, start, end);
		this.at += end - start;
		if (!partial) this.buffer[this.at++] = NEWLINE;
	}

	finish(): Uint8Array[] {
		return this.at > 0 ? [...this.full, this.buffer.subarray(0, this.at)] : this.full;
	}

	private renew(lineBytes: number): void {
		if (this.at > 0) this.full.push(this.buffer.subarray(0, this.at));
		this.buffer = Buffer.allocUnsafe(Math.max(this.buffer.length, lineBytes + FRAME_HEADER_BYTES));
		this.at = 0;
	}
}
