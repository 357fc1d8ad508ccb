import type { LogStream, LogWriter } from "./driver.ts";

/** `mode=non-blocking`: output never waits for the log. What the log cannot take yet is kept, up to `bufferBytes`; what comes then is lost. */
export function nonBlocking(log: LogWriter, bufferBytes: number): LogWriter {
	const queue: [LogStream, Uint8Array][] = [];
	let queued = 0;
	let flushing: Promise<void> | undefined;
	const flush = async (behind: Promise<void>) => {
		await behind;
		for (let next = queue.shift(); next; next = queue.shift()) {
			queued -= next[1].length;
			await log.write(...next);
		}
		flushing = undefined;
	};
	return {
		write(stream, chunk) {
			if (!flushing) {
				const behind = log.write(stream, chunk);
				if (behind) flushing = flush(behind);
				return undefined;
			}
			if (queued + chunk.length > bufferBytes && queued > 0) return undefined;
			// A copy: the chunk is the reader's.
			queue.push([stream, chunk.slice()]);
			queued += chunk.length;
			return undefined;
		},
		async close() {
			await flushing;
			await log.close();
		},
	};
}

/** Writes to both; the slower one holds back. */
export function both(first: LogWriter, second: LogWriter): LogWriter {
	return {
		write(stream, chunk) {
			const behind = [first.write(stream, chunk), second.write(stream, chunk)].filter((one) => one !== undefined);
			return behind.length > 0 ? Promise.all(behind).then(() => {}) : undefined;
		},
		async close() {
			await Promise.all([first.close(), second.close()]);
		},
	};
}
