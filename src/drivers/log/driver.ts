export type LogStream = "stdout" | "stderr";

/** Keeps a container's output. Writing is done by the runtime's own process owner, so that it goes on without the daemon. */
export interface LogWriter {
	/** A promise when the log is behind: hand over no more of this log until it settles. */
	write(stream: LogStream, chunk: Uint8Array): Promise<void> | undefined;
	/** Writes what is left (a last line without newline). */
	close(): Promise<void>;
}

/** Reads a container's log. */
export interface LogReader {
	/**
	 * Ready-to-send bytes: docker's multiplexed frames, or raw bytes when `raw` (tty). Oldest first, over rotated files, at disk speed:
	 * chunks may hold many lines. With `follow` it goes on until `ended` resolves and everything written by then was sent, until `until` has
	 * passed, or `signal` aborts.
	 */
	read(path: string, options: LogReadOptions, signal: AbortSignal): AsyncIterable<Uint8Array>;
	/** Deletes the log and its rotated files. */
	remove(path: string): Promise<void>;
}

/** Which lines of a log, and in which form. */
export interface LogReadOptions {
	/** Absent: json-file. */
	readonly format?: "json-file" | "local";
	readonly stdout: boolean;
	readonly stderr: boolean;
	readonly raw: boolean;
	readonly timestamps: boolean;
	/** Each line's attributes and a blank before it, behind its time: `name=value,name=value text`. */
	readonly details?: boolean;
	/** Nanoseconds since the epoch; inclusive. */
	readonly since?: bigint;
	readonly until?: bigint;
	/** Last n lines; undefined: all. */
	readonly tail?: number;
	readonly follow: boolean;
	/** Resolves when the writer has written its last line. Needed with follow. */
	readonly ended?: Promise<void>;
}
