/** Reads a container's log. Writing is done by the runtime's own process owner, so that it goes on without the daemon. */
export interface LogReader {
	/**
	 * Ready-to-send bytes: docker's multiplexed frames, or raw bytes when `raw` (tty). Oldest first, over rotated files, at disk speed:
	 * chunks may hold many lines. With `follow` it goes on until `ended` resolves and everything written by then was sent, or `signal` aborts.
	 */
	read(path: string, options: LogReadOptions, signal: AbortSignal): AsyncIterable<Uint8Array>;
	/** Deletes the log and its rotated files. */
	remove(path: string): Promise<void>;
}

export interface LogReadOptions {
	readonly stdout: boolean;
	readonly stderr: boolean;
	readonly raw: boolean;
	readonly timestamps: boolean;
	/** A blank before each line, behind its time: where docker has the attributes that log options ask for, which json-file has none of here. */
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
