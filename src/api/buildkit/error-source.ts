import type { StepFailed } from "../../engine/build/command-failed.ts";

/** The part of the Dockerfile that failed, as clients show it under the error: BuildKit's errdefs.Source, which is JSON. */
export function sourceDetailOf({ at: { name, text, line } }: StepFailed): { typeUrl: string; value: Uint8Array } {
	const info = { filename: name, data: Buffer.from(text).toString("base64"), language: "Dockerfile" };
	const ranges = [{ start: { line }, end: { line: lastLine(text.split("\n"), line) } }];
	return {
		typeUrl: "github.com/moby/buildkit/errdefs.Source+json",
		value: Buffer.from(JSON.stringify({ info, ranges })),
	};
}

/** Of an instruction that is continued on further lines. */
function lastLine(lines: readonly string[], first: number): number {
	let last = first;
	while (last < lines.length && /\\\s*$/.test(lines[last - 1] ?? "")) last++;
	return last;
}
