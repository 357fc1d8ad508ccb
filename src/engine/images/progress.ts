import { EngineError } from "../../shared/errors.ts";

/** One line of docker's progress stream. */
export type Line = Record<string, unknown>;

/** Least time between two numbers of one layer, in ms. */
export const REPORT_EVERY_MS = 100;

/** What becomes of one layer; with `total` it has a bar. Bytes. */
export interface LayerState {
	readonly status: string;
	readonly current?: number;
	readonly total?: number;
}

/** Lines on the way to one client. */
export interface Output {
	line(line: Line): void;
	/** The line of one layer. Numbers that come too fast are left out; a change of status never is. */
	layer(id: string, state: LayerState): void;
}

/**
 * Runs `work` and yields its lines as they come; throws what it throws, once they are read. The work's signal is aborted when the caller's
 * is and when nobody reads any more.
 */
export async function* linesOf(
	signal: AbortSignal | undefined,
	work: (output: Output, signal: AbortSignal) => Promise<void>,
): AsyncGenerator<Line> {
	const gone = new AbortController();
	const stop = () => gone.abort();
	signal?.addEventListener("abort", stop);
	if (signal?.aborted) stop();
	const queue = new LineQueue();
	const working = work(queue, gone.signal).then(
		() => queue.end(),
		(error: unknown) => queue.end(error),
	);
	try {
		yield* queue.lines();
	} finally {
		signal?.removeEventListener("abort", stop);
		stop();
		await working;
	}
}

class LineQueue implements Output {
	private waiting: Line[] = [];
	private readonly last = new Map<string, { status: string; at: number }>();
	private wake = () => {};
	private ended: { error?: unknown } | undefined;

	line(line: Line): void {
		// A client that reads slowly gets the newest number of a layer, not all of them.
		const old = line.progress === undefined ? -1 : this.waiting.findIndex((one) => isSameStep(one, line));
		if (old >= 0) this.waiting[old] = line;
		else this.waiting.push(line);
		this.wake();
	}

	layer(id: string, state: LayerState): void {
		const { status, current = 0, total } = state;
		const now = Date.now();
		const before = this.last.get(id);
		const complete = total !== undefined && current >= total;
		if (before?.status === status && (total === undefined || (!complete && now - before.at < REPORT_EVERY_MS))) return;
		this.last.set(id, { status, at: now });
		const numbers = total === undefined ? {} : { current, total };
		const bar = total === undefined ? {} : { progress: progressBar(current, total) };
		this.line({ status, progressDetail: numbers, ...bar, id });
	}

	end(error?: unknown): void {
		this.ended = { error };
		this.wake();
	}

	async *lines(): AsyncGenerator<Line> {
		for (;;) {
			const ready = this.waiting;
			this.waiting = [];
			yield* ready;
			if (this.waiting.length > 0) continue;
			if (this.ended?.error !== undefined) throw this.ended.error;
			if (this.ended) return;
			await new Promise<void>((resolve) => {
				this.wake = resolve;
			});
		}
	}
}

function isSameStep(one: Line, other: Line): boolean {
	return one.id === other.id && one.status === other.status && one.progress !== undefined;
}

/** docker's bar of 50 places: `[==>    ]  1.2MB/30MB`. Clients without a terminal print it as it is. */
export function progressBar(current: number, total: number): string {
	if (total <= 0) return humanSize(current).padStart(8);
	const filled = Math.min(50, Math.trunc(Math.trunc((current / total) * 100) / 2));
	const bar = `[${"=".repeat(filled)}>${" ".repeat(50 - filled)}] `;
	const amount = humanSize(current).padStart(8);
	return current > total ? bar + amount : `${bar}${amount}/${humanSize(total)}`;
}

/** Four significant digits and a decimal unit, as go-units. */
export function humanSize(bytes: number): string {
	const units = ["B", "kB", "MB", "GB", "TB", "PB"];
	let value = bytes;
	let unit = 0;
	while (value >= 1000 && unit < units.length - 1) {
		value /= 1000;
		unit++;
	}
	return `${Number(value.toPrecision(4))}${units[unit]}`;
}

/** What is thrown where the client has gone. */
export function cancelled(): EngineError {
	return new EngineError("cancelled", "context canceled");
}

/** Rejects when the signal is aborted. */
export function aborted(signal: AbortSignal): { readonly promise: Promise<never>; forget(): void } {
	const { promise, reject } = Promise.withResolvers<never>();
	promise.catch(() => {});
	const fail = () => reject(cancelled());
	if (signal.aborted) fail();
	signal.addEventListener("abort", fail);
	return { promise, forget: () => signal.removeEventListener("abort", fail) };
}

/** Waits for all; the first failure stops the others and is thrown when they have ended. */
export async function allOrFirstError(work: readonly Promise<void>[], stop: () => void): Promise<void> {
	let first: { error: unknown } | undefined;
	const guarded = work.map((one) =>
		one.catch((error: unknown) => {
			first ??= { error };
			stop();
		}),
	);
	await Promise.all(guarded);
	if (first) throw first.error;
}
