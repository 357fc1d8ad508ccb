import { EngineError, messageOf } from "../../shared/errors.ts";

/** A command of RUN ended with this exit code. */
export class CommandFailed extends EngineError {
	constructor(
		readonly words: readonly string[],
		readonly exitCode: number,
	) {
		super("invalid", `The command '${words.join(" ")}' returned a non-zero code: ${exitCode}`);
	}
}

/** A step of a Dockerfile failed; the message is what BuildKit says of the same. */
export class StepFailed extends EngineError {
	constructor(
		cause: unknown,
		/** `line` of the instruction's first line, from 1. */
		readonly at: { readonly name: string; readonly text: string; readonly line: number },
	) {
		super(cause instanceof EngineError ? cause.code : "invalid", buildKitText(cause), { cause });
	}
}

function buildKitText(cause: unknown): string {
	if (!(cause instanceof CommandFailed)) return messageOf(cause);
	const { words, exitCode } = cause;
	return `process ${JSON.stringify(words.join(" "))} did not complete successfully: exit code: ${exitCode}`;
}
