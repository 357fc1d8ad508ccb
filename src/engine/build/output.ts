import type { BuildLine } from "./contract.ts";

/** Lines that wait for a client which reads slowly; more hold the build back. */
const WINDOW = 256;

/** Lines that a quiet build keeps for the case that it fails. */
const KEPT = 10_000;

/** What a build tells its client, line by line. */
export interface Output {
	/** Resolves once the client has caught up. */
	line(line: BuildLine): Promise<void>;
	text(text: string): Promise<void>;
}

/**
 * Runs `work` and gives its lines, those at a time that are there. With `quiet` they are kept back, and only come when it fails. `work` is told by its signal to end when the
 * reader leaves or `signal` fires, and is waited for.
 */
export async function* linesOf(
	options: { readonly quiet: boolean; readonly signal: AbortSignal },
	work: (output: Output, signal: AbortSignal) => Promise<BuildLine | undefined>,
): AsyncGenerator<readonly BuildLine[]> {
	const gone = new AbortController();
	const signal = AbortSignal.any([gone.signal, options.signal]);
	const lines: BuildLine[] = [];
	let wake = () => {};
	let ended: { error?: unknown; last?: BuildLine } | undefined;
	let drained = Promise.withResolvers<void>();
	const line = async (one: BuildLine) => {
		lines.push(one);
		if (options.quiet && lines.length > KEPT) lines.shift();
		wake();
		if (!options.quiet && lines.length > WINDOW && !signal.aborted) await drained.promise;
	};
	signal.addEventListener("abort", () => drained.resolve());
	const working = work({ line, text: (stream) => line({ stream }) }, signal).then(
		(last) => {
			ended = { last };
			wake();
		},
		(error: unknown) => {
			ended = { error };
			wake();
		},
	);
	try {
		for (;;) {
			const over = ended;
			const visible = !options.quiet || over?.error !== undefined;
			if (visible && lines.length > 0) {
				yield lines.splice(0);
				drained.resolve();
				drained = Promise.withResolvers<void>();
				continue;
			}
			if (over) {
				if (over.error !== undefined) throw over.error;
				if (over.last) yield [over.last];
				return;
			}
			await new Promise<void>((resolve) => {
				wake = resolve;
			});
			// Steps from the cache come faster than a client reads lines one by one.
			await new Promise<void>((resolve) => setImmediate(resolve));
		}
	} finally {
		gone.abort();
		await working;
	}
}
