import { isUtf8 } from "node:buffer";
import { MAX_ENTRY_BYTES } from "../files/split.ts";

const NEWLINE = 10;
/** No byte becomes more than `\u00ff`. */
const WORST_ENTRY_BYTES = 6 * MAX_ENTRY_BYTES;
const FIRST_BYTES = 256 * 1024;
/** A larger buffer is not kept. */
const KEPT_BYTES = 1024 * 1024;

const HEAD = Buffer.from('{"log":"');
const REPLACEMENT = Buffer.from("\\ufffd");

/** What each byte below 0x80 becomes when it is not itself: as moby's jsonlog writes it. */
const ESCAPES: readonly (Buffer | undefined)[] = Array.from({ length: 0x80 }, (_, byte) => {
	const char = String.fromCharCode(byte);
	if (char === '"' || char === "\\") return Buffer.from(`\\${char}`);
	if (char === "\n") return Buffer.from("\\n");
	if (char === "\r") return Buffer.from("\\r");
	const isPlain = byte >= 0x20 && !"<>&".includes(char);
	return isPlain ? undefined : Buffer.from(`\\u${byte.toString(16).padStart(4, "0")}`);
});
/** 1: as it is. 0 for all of a character of several bytes. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) => (byte < 0x80 && ESCAPES[byte] === undefined ? 1 : 0));

/**
 * Log entries as bytes: `{"log":"text\n","stream":"stdout","time":"..."}` and a newline for each. Text is not turned into strings on its way: that is what a
 * flood of output costs.
 */
export class EntryEncoder {
	private out: Uint8Array = new Uint8Array(FIRST_BYTES);
	private length = 0;

	/**
	 * The entries of runs of whole lines, and of pieces without a newline, that share stream and time. The result is good until the next call.
	 * @param runs no line is longer than MAX_ENTRY_BYTES
	 * @param tail what follows a text, from its closing quote to the newline after the entry
	 */
	encode(runs: readonly Uint8Array[], tail: Uint8Array): Uint8Array {
		if (this.out.length > KEPT_BYTES) this.out = new Uint8Array(FIRST_BYTES);
		this.length = 0;
		// From one text to the next.
		const between = Buffer.concat([tail, HEAD]);
		this.put(HEAD);
		for (const run of runs) this.add(run, between, isUtf8(run));
		return this.out.subarray(0, this.length - HEAD.length);
	}

	private add(run: Uint8Array, between: Uint8Array, isValid: boolean): void {
		const reserve = WORST_ENTRY_BYTES + between.length;
		for (let at = 0; at < run.length; ) {
			while (this.out.length - this.length < reserve) this.grow();
			at = this.text(run, at, isValid);
			this.put(between);
		}
	}

	/** Up to the end of the line; where the next one begins. */
	private text(run: Uint8Array, from: number, isValid: boolean): number {
		const { out } = this;
		const end = run.length;
		let at = from;
		let to = this.length;
		while (at < end) {
			const byte = run[at] as number;
			if (PLAIN[byte] === 1) {
				out[to++] = byte;
				at++;
				continue;
			}
			if (byte < 0x80) {
				const short = ESCAPES[byte] as Buffer;
				for (let i = 0; i < short.length; i++) out[to++] = short[i] as number;
				at++;
				if (byte === NEWLINE) break;
				continue;
			}
			this.length = to;
			at = this.character(run, at, isValid);
			to = this.length;
		}
		this.length = to;
		return at;
	}

	/** One of several bytes; where the next begins. */
	private character(run: Uint8Array, at: number, isValid: boolean): number {
		const size = isValid ? sizeOf(run[at] ?? 0) : validSize(run, at);
		if (size === 0) {
			this.put(REPLACEMENT);
			return at + 1;
		}
		if (isLineSeparator(run, at)) this.put(SEPARATORS[(run[at + 2] ?? 0) - SEPARATOR_LAST] ?? REPLACEMENT);
		else for (let i = at; i < at + size; i++) this.out[this.length++] = run[i] as number;
		return at + size;
	}

	private put(bytes: Uint8Array): void {
		this.out.set(bytes, this.length);
		this.length += bytes.length;
	}

	private grow(): void {
		const larger = new Uint8Array(this.out.length * 2);
		larger.set(this.out.subarray(0, this.length));
		this.out = larger;
	}
}

/** U+2028 and U+2029 are e2 80 a8 and e2 80 a9. */
const SEPARATOR_LAST = 0xa8;
const SEPARATORS = [Buffer.from("\\u2028"), Buffer.from("\\u2029")] as const;

function isLineSeparator(run: Uint8Array, at: number): boolean {
	return run[at] === 0xe2 && run[at + 1] === 0x80 && (run[at + 2] === SEPARATOR_LAST || run[at + 2] === 0xa9);
}

/** Of a character by its first byte. */
function sizeOf(first: number): number {
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/** Bytes of the character at `at`, 0 when there is none: as Go's utf8.DecodeRune, RFC 3629 section 4. */
function validSize(run: Uint8Array, at: number): number {
	const first = run[at] ?? 0;
	if (first < 0xc2 || first > 0xf4) return 0;
	const size = sizeOf(first);
	const second = run[at + 1] ?? 0;
	const lowest = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
	const highest = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
	if (second < lowest || second > highest) return 0;
	for (let i = at + 2; i < at + size; i++) if (((run[i] ?? 0) & 0xc0) !== 0x80) return 0;
	return size;
}
