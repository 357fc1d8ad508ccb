import { EngineError, messageOf } from "../../shared/errors.ts";
import type { ContainerRecord } from "./record.ts";

/**
 * docker's exit code and text for a start that failed: 127 no such command, 126 cannot be run, 128 else. The CLI looks for
 * "executable file not found", "no such file or directory" and "permission denied" and exits with the same codes.
 */
export function startFailure(
	error: unknown,
	record: Pick<ContainerRecord, "path">,
): { exitCode: number; error: EngineError } {
	const isCommand = error instanceof EngineError && error.code === "invalid" && isRuntimeText(error.message);
	if (!isCommand) {
		const own = error instanceof EngineError ? error : new EngineError("internal", messageOf(error), { cause: error });
		return { exitCode: 128, error: own };
	}
	const { exitCode, text } = commandFailure(error.message, record.path);
	const message = `failed to create task for container: failed to create shim task: OCI runtime create failed: unable to start container process: error during container init: ${text}`;
	// A command that cannot run is the client's fault, all else the machine's: docker's 400 and 500.
	return { exitCode, error: new EngineError(exitCode === 128 ? "internal" : "invalid", message, { cause: error }) };
}

const EXEC_FAILED = "OCI runtime exec failed: exec failed: ";

/** What the runtime would refuse of an exec, in the words of docker's. */
export function runtimeRefusal(reason: string): EngineError {
	return new EngineError("invalid", `${EXEC_FAILED}${reason}`);
}

/** The same for an exec. */
export function execFailure(error: unknown, command: string): { exitCode: number; error: EngineError } {
	const isCommand = error instanceof EngineError && error.code === "invalid";
	if (!isCommand) {
		const own = error instanceof EngineError ? error : new EngineError("internal", messageOf(error), { cause: error });
		return { exitCode: 128, error: own };
	}
	if (error.message.startsWith(EXEC_FAILED)) return { exitCode: 128, error };
	const { exitCode, text } = commandFailure(error.message, command);
	const message = `${EXEC_FAILED}unable to start container process: ${text}`;
	return { exitCode, error: new EngineError("invalid", message, { cause: error }) };
}

/** Texts of our own (user not found, port specification) are not the runtime's. */
function isRuntimeText(text: string): boolean {
	return !/^(unable to find (user|group)|uids and gids|error gathering device|invalid |bad format|unable to derive|cannot access path|path |error )/.test(
		text,
	);
}

/** crun and runc tell it in their own words. */
function commandFailure(text: string, command: string): { exitCode: number; text: string } {
	if (command === "") return { exitCode: 127, text: 'exec: "": executable file not found in $PATH' };
	if (/\bsysctl\b/.test(text)) return { exitCode: /no such file or directory/i.test(text) ? 127 : 128, text };
	// crun says so of absolute paths too.
	if (/not found in \$PATH/i.test(text) && !command.includes("/")) {
		return { exitCode: 127, text: `exec: "${command}": executable file not found in $PATH` };
	}
	if (/no such file or directory|not found in \$PATH/i.test(text)) {
		const directory = /chdir(?: to)? `(.*)`/.exec(text)?.[1];
		const known = directory
			? `chdir to cwd ("${directory}") set in config.json failed: no such file or directory`
			: /chdir|cwd/i.test(text)
				? text
				: `exec: "${command}": stat ${command}: no such file or directory`;
		return { exitCode: 127, text: known };
	}
	if (/permission denied|is a directory|exec format error/i.test(text)) {
		const reason = /exec format error/i.test(text)
			? "exec format error"
			: /is a directory/i.test(text)
				? "is a directory: permission denied"
				: "permission denied";
		return { exitCode: reason === "exec format error" ? 128 : 126, text: `exec: "${command}": ${reason}` };
	}
	return { exitCode: 128, text };
}
