import { RegistryFailure } from "./failure.ts";

/** Time as the client sees it, so that tests need not wait. */
export interface Timing {
	now(): number;
	/** Rejects with the signal's reason when it aborts. */
	sleep(ms: number, signal?: AbortSignal): Promise<void>;
	/** 0 to 1 */
	random(): number;
	/** How long to wait for the head of an answer, ms. */
	readonly answerMs: number;
	/** How long a body may send nothing, ms. */
	readonly stallMs: number;
}

export const realTiming: Timing = {
	now: Date.now,
	sleep,
	random: Math.random,
	answerMs: 60_000,
	stallMs: 60_000,
};

export const ATTEMPTS = 5;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 60_000;

/** Exponential back-off with jitter: 0.25-0.5 s, 0.5-1 s, ...; what the registry asks for comes first. Both are bounded at a minute. */
export function delayBefore(attempt: number, failure: RegistryFailure, timing: Timing): number {
	const backOff = FIRST_DELAY_MS * 2 ** (attempt - 1) * (0.5 + timing.random() / 2);
	return Math.min(LONGEST_DELAY_MS, Math.max(backOff, failure.retryAfterMs ?? 0));
}

/** Runs `work` until it succeeds, at most `attempts` times; only failures that may pass by themselves are tried again. */
export async function withRetries<T>(
	timing: Timing,
	signal: AbortSignal | undefined,
	work: () => Promise<T>,
	attempts = ATTEMPTS,
): Promise<T> {
	for (let attempt = 1; ; attempt++) {
		try {
			return await work();
		} catch (error) {
			if (!(error instanceof RegistryFailure) || !error.transient || attempt >= attempts) throw error;
			await timing.sleep(delayBefore(attempt, error, timing), signal);
		}
	}
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
	return new Promise((resolve, reject) => {
		const stop = () => {
			clearTimeout(timer);
			reject(signal?.reason);
		};
		if (signal?.aborted) return reject(signal.reason);
		const timer = setTimeout(() => {
			signal?.removeEventListener("abort", stop);
			resolve();
		}, ms);
		signal?.addEventListener("abort", stop, { once: true });
	});
}
