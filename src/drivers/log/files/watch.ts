import { watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { LogReadOptions } from "../driver.ts";

/** Should an event be lost, a follower looks anyway. */
const LOOK_AGAIN_MS = 1000;
/** Timers take no more than 31 bits. */
const LONGEST_MS = 2 ** 31 - 1;

/** What a follower waits for. */
export interface LogEvents {
	/** The next change of the log, or the end of its writer. */
	next(): Promise<void>;
	/** Whether the writer has ended, or the last time that is asked for has passed: what is read after this was true is all. */
	ended(): boolean;
	close(): void;
}

export function watchLog(path: string, { ended, until }: LogReadOptions, signal: AbortSignal): LogEvents {
	let over = false;
	let changed = false;
	let wake: () => void = () => {};
	const tell = () => {
		changed = true;
		wake();
	};
	const name = basename(path);
	const watcher = watch(dirname(path), (_event, file) => {
		if (file === null || file === name) tell();
	});
	watcher.on("error", tell);
	const last = until === undefined ? Number.POSITIVE_INFINITY : Number(until / 1_000_000n);
	const isPast = () => Date.now() > last;
	const atLast = setTimeout(tell, Math.min(Math.max(0, last - Date.now()) + 1, LONGEST_MS));
	const timer = setInterval(tell, LOOK_AGAIN_MS);
	ended?.then(() => {
		over = true;
		tell();
	});
	signal.addEventListener("abort", tell);
	return {
		ended: () => over || signal.aborted || isPast(),
		async next() {
			if (!changed) {
				await new Promise<void>((resolve) => {
					wake = resolve;
				});
			}
			changed = false;
		},
		close() {
			watcher.close();
			clearInterval(timer);
			clearTimeout(atLast);
			signal.removeEventListener("abort", tell);
		},
	};
}
