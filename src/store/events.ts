import { closeSync, fstatSync, openSync, readFileSync, readSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";

/** One event as a line of JSON has it; `at` in nanoseconds since the epoch. */
export interface StoredEvent {
	readonly at: bigint;
	readonly type: string;
	readonly action: string;
	readonly id: string;
	readonly attributes: Readonly<Record<string, string>>;
}

/** The last events, kept over restarts. What `append` was given survives a crash of the daemon (not of the machine). */
export interface EventJournal {
	/** Throws what the file system says; the journal goes on with the next. */
	append(event: StoredEvent): void;
	/** What stood there at the opening, oldest first: the last 1000, or what fits into MAX_BYTES. Damaged lines are left out. */
	earlier(): StoredEvent[];
	close(): void;
}

const KEPT = 1000;
/** A thousand events are about 400 KB; labels make them larger. */
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * Keeps events in `events.jsonl` and `events.1.jsonl` below `directory`: full, the first becomes the second, so that the cost of an
 * append is one write(2) of a few hundred bytes and never a rewrite. Opening reads nothing but the last byte.
 */
export function openEventJournal(directory: string): EventJournal {
	const current = join(directory, "events.jsonl");
	const previous = join(directory, "events.1.jsonl");
	let fd = openSync(current, "a+", 0o600);
	let bytes = fstatSync(fd).size;
	// A crash of the machine or a full disk may have cut the last line: what follows starts on a line of its own.
	let clean = bytes === 0 || lastByte(fd, bytes) === 0x0a;
	let appended = 0;

	const rotate = () => {
		renameSync(current, previous);
		const next = openSync(current, "a", 0o600);
		closeSync(fd);
		fd = next;
		[bytes, clean] = [0, true];
	};
	return {
		append(event) {
			if (bytes >= MAX_BYTES) rotate();
			const line = Buffer.from(`${clean ? "" : "\n"}${encode(event)}\n`);
			const written = writeSync(fd, line);
			bytes += written;
			appended += 1;
			clean = written === line.length;
		},
		earlier() {
			const lines = [...linesOf(previous), ...linesOf(current)];
			return lines
				.slice(0, Math.max(0, lines.length - appended))
				.slice(-KEPT)
				.flatMap(decode);
		},
		close: () => closeSync(fd),
	};
}

function lastByte(fd: number, size: number): number | undefined {
	const byte = Buffer.alloc(1);
	readSync(fd, byte, 0, 1, size - 1);
	return byte[0];
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
