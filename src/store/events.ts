import { closeSync, openSync, readFileSync, renameSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";

/** One event as a line of JSON has it; `at` in nanoseconds since the epoch. */
export interface StoredEvent {
	readonly at: bigint;
	readonly type: string;
	readonly action: string;
	readonly id: string;
	readonly attributes: Readonly<Record<string, string>>;
}

/** The last events, oldest first, kept over restarts. What `append` was given survives a crash of the daemon (not of the machine). */
export interface EventJournal {
	/** Throws what the file system says; the journal goes on with the next. */
	append(event: StoredEvent): void;
	/** What earlier daemons left: at least the last `KEPT`, fewer when there were fewer or lines were damaged. */
	read(): StoredEvent[];
	close(): void;
}

const KEPT = 1000;
/** Labels can be large: the files stay within twice this. */
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * Keeps events in `events.jsonl` and `events.1.jsonl` below `directory`: full, the first becomes the second, so that the cost of an
 * append is one write(2) of a few hundred bytes and never a rewrite.
 */
export function openEventJournal(directory: string): EventJournal {
	const current = join(directory, "events.jsonl");
	const previous = join(directory, "events.1.jsonl");
	let fd = openSync(current, "a", 0o600);
	let bytes = statSync(current).size;
	let lines = bytes === 0 ? 0 : linesOf(current).length;
	// A crash of the machine or a full disk may have cut the last line: what follows starts on a line of its own.
	let clean = bytes === 0 || readFileSync(current).at(-1) === 0x0a;

	const rotate = () => {
		renameSync(current, previous);
		closeSync(fd);
		fd = openSync(current, "a", 0o600);
		[bytes, lines, clean] = [0, 0, true];
	};
	return {
		append(event) {
			if (lines >= KEPT || bytes >= MAX_BYTES) rotate();
			const line = Buffer.from(`${clean ? "" : "\n"}${encode(event)}\n`);
			clean = false;
			const written = writeSync(fd, line);
			bytes += written;
			lines += 1;
			clean = written === line.length;
		},
		read: () => [...linesOf(previous), ...linesOf(current)].flatMap(decode).slice(-KEPT),
		close: () => closeSync(fd),
	};
}

function linesOf(path: string): string[] {
	try {
		return readFileSync(path, "utf8").split("\n").filter(Boolean);
	} catch {
		return [];
	}
}

/** JSON has no integers of 64 bits: `at` is text. */
function encode({ at, ...rest }: StoredEvent): string {
	return JSON.stringify({ at: String(at), ...rest });
}

function decode(line: string): StoredEvent[] {
	try {
		const { at, type, action, id, attributes } = JSON.parse(line);
		const whole = [at, type, action, id].every((text) => typeof text === "string") && typeof attributes === "object";
		return whole && attributes !== null ? [{ at: BigInt(at), type, action, id, attributes }] : [];
	} catch {
		return [];
	}
}
