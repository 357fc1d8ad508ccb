import type { Readable } from "node:stream";

/** Calls `then` when all of the stream was read. A socket that is paused tells of its end as soon as it comes, maybe to nobody: so whoever comes later asks. */
export function whenEnded(stream: Readable, then: () => void): void {
	if (stream.readableEnded) queueMicrotask(then);
	else stream.once("end", then);
}
