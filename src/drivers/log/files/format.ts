import type { FileHandle } from "node:fs/promises";
import type { LogReadOptions } from "../driver.ts";

/** Which entries a client wants and how. */
export type Wanted = Pick<LogReadOptions, "stdout" | "stderr" | "raw" | "timestamps" | "details" | "since" | "until">;

/** How entries lie in a log file. */
export interface LogFormat {
	/** What a client gets for the whole entries in `block`, and how many bytes those are. */
	decode(block: Buffer, wanted: Wanted): { readonly out: Uint8Array[]; readonly used: number };
	/** Offset of the last `count` entries, and how many there are up to that number. */
	tail(file: FileHandle, count: number): Promise<{ readonly offset: number; readonly lines: number }>;
}
