import { StepFailed } from "../../engine/build/command-failed.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { CODES, GrpcError } from "./grpc.ts";

/** BuildKit's errors have no code but that they are one; a failed step says where it stands in the Dockerfile. */
export function failureOf(error: unknown): GrpcError {
	if (error instanceof GrpcError) return error;
	const details = error instanceof StepFailed ? [sourceDetailOf(error)] : [];
	if (error instanceof EngineError && error.code === "cancelled") return new GrpcError(CODES.cancelled, error.message);
	return new GrpcError(CODES.unknown, messageOf(error), details);
}

/** A longer Dockerfile would not fit the trailers: lines that clients do not show are empty. */
const WHOLE = 8192;
/** More than clients show around what failed. */
const CONTEXT_LINES = 20;

/** The part of the Dockerfile that failed, as clients show it under the error: BuildKit's errdefs.Source, which is JSON. */
function sourceDetailOf({ at: { name, text, line } }: StepFailed): { typeUrl: string; value: Uint8Array } {
	const lines = text.split("\n");
	const last = lastLine(lines, line);
	const isShown = (number: number) => number >= line - CONTEXT_LINES && number <= last + CONTEXT_LINES;
	const data = text.length <= WHOLE ? text : lines.map((one, i) => (isShown(i + 1) ? one : "")).join("\n");
	const info = { filename: name, data: Buffer.from(data).toString("base64"), language: "Dockerfile" };
	const ranges = [{ start: { line }, end: { line: last } }];
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
