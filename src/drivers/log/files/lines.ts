const NEWLINE = 10;

/** The lines of runs as LineBuffer gives them, without their newline; not `whole`: a piece of a longer one, or the last without a newline. */
export function* eachLine(
	runs: readonly Uint8Array[],
): Generator<{ readonly line: Uint8Array; readonly whole: boolean }> {
	for (const run of runs) {
		let start = 0;
		while (start < run.length) {
			const newline = run.indexOf(NEWLINE, start);
			const end = newline < 0 ? run.length : newline;
			yield { line: run.subarray(start, end), whole: newline >= 0 };
			start = end + 1;
		}
	}
}
