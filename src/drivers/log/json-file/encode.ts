import type { LogStream } from "./stream.ts";

/** Docker cuts a longer line into entries of so many bytes; only the last ends in a newline. */
export const MAX_ENTRY_BYTES = 16 * 1024;

const NEWLINE = 10;
/** What Go's encoder escapes beyond JSON.stringify, and the three short escapes it writes as \u. */
const GO_ESCAPES = /[<>&\b\f\t\u007f\u2028\u2029]/;

/**
 * Log entries for whole lines (`text` ends in a newline) that share a time. One JSON.stringify for all of them: in its result `\n` is the
 * end of a line, unless the text has a backslash of its own.
 */
export function encodeLines(text: string, stream: LogStream, time: string): string {
	if (text.includes("\\") || GO_ESCAPES.test(text)) {
		return text
			.slice(0, -1)
			.split("\n")
			.map((line) => encodeEntry(`${line}\n`, stream, time))
			.join("");
	}
	const tail = `","stream":"${stream}","time":"${time}"}\n`;
	const body = JSON.stringify(text).slice(0, -1).replaceAll("\\n", `\\n${tail}{"log":"`);
	return `{"log":${body.slice(0, -'{"log":"'.length)}`;
}

/** One entry; `text` may lack its newline. */
export function encodeEntry(text: string, stream: LogStream, time: string): string {
	return `{"log":${goString(text)},"stream":"${stream}","time":"${time}"}\n`;
}

function goString(text: string): string {
	const json = JSON.stringify(text);
	if (!GO_ESCAPES.test(text)) return json;
	return json
		.replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)
		.replace(/\\[bft\\]/g, (short) => SHORT_ESCAPES[short] ?? short);
}

const SHORT_ESCAPES: Record<string, string> = { "\\b": "\\u0008", "\\f": "\\u000c", "\\t": "\\u0009" };

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
