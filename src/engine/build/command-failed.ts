import { EngineError } from "../../shared/errors.ts";

/** A command of RUN ended with this exit code. */
export class CommandFailed extends EngineError {
	constructor(
		command: readonly string[],
		readonly exitCode: number,
	) {
		super("invalid", `The command '${command.join(" ")}' returned a non-zero code: ${exitCode}`);
	}
}
