import { posix } from "node:path";
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
	if (!isCommand) return otherFailure(error);
	const { exitCode, text } = commandFailure(error.message, record.path);
	const message = `${CREATE_FAILED}${runcPrefix(error.message)}unable to start container process: error during container init: ${text}`;
	// A command that cannot run is the client's fault, all else the machine's: docker's 400 and 500.
	return { exitCode, error: new EngineError(exitCode === 128 ? "internal" : "invalid", message, { cause: error }) };
}

/** Not of the command: a mount, a limit, the runtime itself. */
function otherFailure(error: unknown): { exitCode: number; error: EngineError } {
	const own = error instanceof EngineError ? error : new EngineError("internal", messageOf(error), { cause: error });
	const said = /^OCI runtime create failed: (?:runc (?:run|create) failed: )?(.*)$/s.exec(own.message)?.[1];
	if (said === undefined) return { exitCode: 128, error: own };
	const message = `${CREATE_FAILED}${runcPrefix(own.message)}${said}`;
	if (!/not a directory$/i.test(said))
		return { exitCode: 128, error: new EngineError(own.code, message, { cause: own }) };
	return { exitCode: 127, error: new EngineError("invalid", `${message}${MOUNT_HINT}`, { cause: own }) };
}

const CREATE_FAILED = "failed to create task for container: failed to create shim task: OCI runtime create failed: ";
const EXEC_FAILED = "OCI runtime exec failed: exec failed: ";
/** docker's, whatever it is that is not a directory. */
const MOUNT_HINT =
	": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type";

/** runc says its name; that it is told to run what docker's is told to create is not for the client. */
function runcPrefix(text: string): string {
	return /runc (run|create) failed: /.test(text) ? "runc create failed: " : "";
}

/** What runtimes put before their words, and the engine puts there itself. */
const WRAPPING =
	/^OCI runtime (create|exec) failed: (runc (run|create) failed: )?(exec failed: )?(unable to start container process: )?(error during container init: )?/;

class RuntimeRefusal extends EngineError {}

/** What the runtime would refuse of an exec, in the words of docker's. */
export function runtimeRefusal(reason: string): EngineError {
	return new RuntimeRefusal("invalid", `${EXEC_FAILED}${reason}`);
}

/** The same for an exec. */
export function execFailure(error: unknown, command: string): { exitCode: number; error: EngineError } {
	const isCommand = error instanceof EngineError && error.code === "invalid";
	if (!isCommand) {
		const own = error instanceof EngineError ? error : new EngineError("internal", messageOf(error), { cause: error });
		return { exitCode: 128, error: own };
	}
	if (error instanceof RuntimeRefusal) return { exitCode: 128, error };
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

/** A directory cannot be run, and crun says no more of it than of a file that is not executable: the error with what docker says besides. */
export function ofDirectory(
	error: unknown,
	command: string,
	workingDir: string,
	isDirectory: (path: string) => boolean,
): unknown {
	const refused =
		error instanceof EngineError && /permission denied/i.test(error.message) && !CHDIR.test(error.message);
	if (!refused || !command.includes("/") || !isDirectory(posix.resolve("/", workingDir, command))) return error;
	const message = error.message.replace(/permission denied/i, "is a directory");
	return new EngineError(error.code, message, { cause: error });
}

const CHDIR = /chdir(?: to)? `(.*)`|chdir to cwd \("(.*)"\) set in/;
const REASONS = [
	"exec format error",
	"no such file or directory",
	"is a directory",
	"permission denied",
	"not a directory",
];
const NOT_A_DIRECTORY = `not a directory${MOUNT_HINT}`;

/** crun and runc tell it in their own words; docker's are runc's, and its exit code follows from them. */
function commandFailure(said: string, command: string): { exitCode: number; text: string } {
	const text = said.replace(WRAPPING, "");
	if (command === "") return { exitCode: 127, text: 'exec: "": executable file not found in $PATH' };
	if (/\bsysctl\b/.test(text)) return { exitCode: /no such file or directory/i.test(text) ? 127 : 128, text };
	const reason = REASONS.find((one) => text.toLowerCase().includes(one));
	const [, quoted, directory = quoted] = CHDIR.exec(text) ?? [];
	if (directory !== undefined && reason) {
		const why = reason === "not a directory" ? NOT_A_DIRECTORY : reason;
		const exitCode = reason === "permission denied" ? 126 : 127;
		return { exitCode, text: `chdir to cwd ("${directory}") set in config.json failed: ${why}` };
	}
	// crun says so of absolute paths too.
	const missing = /not found in \$PATH/i.test(text);
	// Of what is found in $PATH only programs count: a directory or a file that cannot be run is passed over.
	if (!command.includes("/") && (missing || reason === "permission denied")) {
		return { exitCode: 127, text: `exec: "${command}": executable file not found in $PATH` };
	}
	if (missing || reason === "no such file or directory") {
		const other = /chdir|cwd/i.test(text);
		return { exitCode: 127, text: other ? text : `exec: "${command}": stat ${command}: no such file or directory` };
	}
	if (reason === "not a directory" && !/\bmount/i.test(text)) {
		return { exitCode: 127, text: `exec: "${command}": stat ${command}: ${NOT_A_DIRECTORY}` };
	}
	if (reason === undefined || reason === "not a directory") return { exitCode: 128, text };
	const known = reason === "is a directory" ? "is a directory: permission denied" : reason;
	return { exitCode: reason === "exec format error" ? 128 : 126, text: `exec: "${command}": ${known}` };
}
