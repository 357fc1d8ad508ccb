import { FRAME_HEADER_BYTES, STDERR, STDOUT, type StdStream, writeFrameHeader } from "../../../shared/stdcopy.ts";
import { parseNano } from "../../../shared/time.ts";
import type { LogStream } from "../driver.ts";
import type { Wanted } from "../files/format.ts";

interface Run {
	readonly stream: LogStream;
	readonly text: string;
}

const HEAD = '{"log":"';
const TAIL = /^","stream":"(stdout|stderr)"(?:,"attrs":(\{.*\}))?,"time":"([^"\\]*)"}\n$/;
/** Lines read one by one before the fast way is tried again. */
const SLOW_LINES = 32;

/**
 * What a client gets for whole log lines (`text` ends in a newline). Runs of lines that share stream and time, as our writer makes them, are
 * joined as text and decoded by one JSON.parse; a time range is decided for all of a run, and time stamps are put in as it is joined.
 */
export function decodeLines(text: string, wanted: Wanted): Uint8Array[] {
	const out: Uint8Array[] = [];
	let skip = 0;
	for (let at = 0; at < text.length; ) {
		const run = skip === 0 ? fastRun(text, at, wanted) : undefined;
		if (run) {
			emit(out, run, wanted);
			at = run.end;
			continue;
		}
		skip = skip > 0 ? skip - 1 : SLOW_LINES;
		const newline = text.indexOf("\n", at);
		const entry = decodeLine(text.slice(at, newline), wanted);
		if (entry) emit(out, entry, wanted);
		at = newline + 1;
	}
	return out;
}

/** The lines from `at` that end as the first does; undefined when they are not as our writer writes them. */
function fastRun(text: string, at: number, wanted: Wanted): (Run & { readonly end: number }) | undefined {
	if (!text.startsWith(HEAD, at)) return undefined;
	const first = text.indexOf("\n", at);
	const tailAt = text.lastIndexOf('","stream":"', first);
	if (tailAt < at) return undefined;
	const tail = text.slice(tailAt, first + 1);
	const [, stream, attributes, time = ""] = TAIL.exec(tail) ?? [];
	if (stream !== "stdout" && stream !== "stderr") return undefined;
	const end = runEnd(text, first + 1, tail);
	// Whatever stands between two lines of one time is of that time too.
	if (!inRange(time, wanted)) return { stream, text: "", end };
	const prefix = JSON.stringify(prefixOf(time, attributes, wanted)).slice(1, -1);
	const body = prefix + text.slice(at + HEAD.length, end - tail.length).replaceAll(tail + HEAD, prefix);
	// A newline left over: lines of another kind stand between.
	if (body.includes("\n")) return undefined;
	try {
		return { stream, text: JSON.parse(`"${body}"`) as string, end };
	} catch {
		return undefined;
	}
}

/** The end of the last line of the run, found by doubling steps, then halving them: times only grow. */
function runEnd(text: string, from: number, tail: string): number {
	let good = from;
	for (let step = 1024, growing = true; step >= 1; ) {
		const newline = text.indexOf("\n", Math.min(good + step, text.length - 1));
		const same = newline >= good && text.startsWith(tail, newline + 1 - tail.length);
		if (same && newline + 1 > good) good = newline + 1;
		if (good >= text.length) break;
		growing &&= same;
		step = growing ? step * 2 : step >> 1;
	}
	return good;
}

function decodeLine(line: string, wanted: Wanted): Run | undefined {
	let entry: { log?: unknown; stream?: unknown; time?: unknown; attrs?: unknown };
	try {
		entry = JSON.parse(line) as typeof entry;
	} catch {
		// half a line, from a machine that lost power: docker skips it too
		return undefined;
	}
	const time = typeof entry.time === "string" ? entry.time : "";
	if (!inRange(time, wanted)) return undefined;
	const text = typeof entry.log === "string" ? entry.log : "";
	return {
		stream: entry.stream === "stderr" ? "stderr" : "stdout",
		text: prefixOf(time, entry.attrs ? JSON.stringify(entry.attrs) : undefined, wanted) + text,
	};
}

function prefixOf(time: string, attributes: string | undefined, { timestamps, details }: Wanted): string {
	return `${timestamps ? `${time} ` : ""}${details ? `${attributes ? detailsOf(attributes) : ""} ` : ""}`;
}

/** `name=value,name=value`, as Go escapes them for a URL's query. */
function detailsOf(attributes: string): string {
	return Object.entries(JSON.parse(attributes) as Record<string, unknown>)
		.map(([name, value]) => `${queryEscape(name)}=${queryEscape(String(value))}`)
		.join(",");
}

function queryEscape(text: string): string {
	return encodeURIComponent(text.toWellFormed())
		.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
		.replaceAll("%20", "+");
}

function inRange(time: string, { since, until }: Wanted): boolean {
	if (since === undefined && until === undefined) return true;
	const at = parseNano(time) ?? 0n;
	return (since === undefined || at >= since) && (until === undefined || at <= until);
}

function emit(out: Uint8Array[], { stream, text }: Run, wanted: Wanted): void {
	if (!wanted[stream] || text.length === 0) return;
	const payload = Buffer.from(text);
	out.push(wanted.raw ? payload : frameLines(stream === "stdout" ? STDOUT : STDERR, payload));
}

const NEWLINE = 10;

/** A frame for each line, as docker sends them: clients take a frame of a log for a line. */
function frameLines(stream: StdStream, payload: Buffer): Uint8Array {
	const ends: number[] = [];
	for (let at = 0; at < payload.length; at = ends.at(-1) ?? payload.length) {
		const newline = payload.indexOf(NEWLINE, at);
		ends.push(newline < 0 ? payload.length : newline + 1);
	}
	const out = Buffer.allocUnsafe(payload.length + FRAME_HEADER_BYTES * ends.length);
	let [from, to] = [0, 0];
	for (const end of ends) {
		writeFrameHeader(out, to, stream, end - from);
		payload.copy(out, to + FRAME_HEADER_BYTES, from, end);
		to += FRAME_HEADER_BYTES + end - from;
		from = end;
	}
	return out;
}
