import type { BuildLine } from "./contract.ts";

/** Lines that wait for a client which reads slowly; more hold the build back. */
const WINDOW = 256;

/** What a build tells its client, line by line. */
export interface Output {
	/** Resolves once the client has caught up. */
	line(line: BuildLine): Promise<void>;
	text(text: string): Promise<void>;
}

/**
 * Runs `work` and gives its lines. With `quiet` they are kept back, and only come when it fails. `work` is told by its signal to end when the
 * reader leaves or `signal` fires, and is waited for.
 */
export async function* linesOf(
	options: { readonly quiet: boolean; readonly signal: AbortSignal },
	work: (output: Output, signal: AbortSignal) => Promise<BuildLine | undefined>,
): AsyncGenerator<BuildLine> {
	const gone = new AbortController();
	const signal = AbortSignal.any([gone.signal, options.signal]);
	const lines: BuildLine[] = [];
	let wake = () => {};
	let ended: { error?: unknown; last?: BuildLine } | undefined;
	let drained = Promise.withResolvers<void>();
	const line = async (one: BuildLine) => {
		lines.push(one);
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
			while (lines.length > 0 && (!options.quiet || ended?.error !== undefined)) yield lines.shift() as BuildLine;
			drained.resolve();
			drained = Promise.withResolvers<void>();
			if (ended) break;
			await new Promise<void>((resolve) => {
				wake = resolve;
			});
		}
		if (ended.error !== undefined) throw ended.error;
		if (ended.last) yield ended.last;
	} finally {
		gone.abort();
		await working;
	}
}
