import type { ExecConfig } from "../../engine/containers/contract.ts";
import { boolean, type Decode, list, object, optional, string, unsigned } from "../body.ts";
import { invalid } from "../errors.ts";

const consoleSize: Decode<[number, number]> = (value, path) => {
	const [rows = 0, columns = 0] = list(unsigned(64))(value, path);
	return [rows, columns];
};

const EXEC = object({
	AttachStdin: boolean(),
	AttachStdout: boolean(),
	AttachStderr: boolean(),
	Tty: boolean(),
	Cmd: list(string()),
	Env: list(string()),
	User: string(),
	WorkingDir: string(),
	Privileged: boolean(),
	DetachKeys: string(),
	ConsoleSize: optional(consoleSize),
});

/** The body of `POST /containers/{id}/exec`. */
export const decodeExec: Decode<ExecConfig> = (value, path) => {
	const config = EXEC(value, path);
	if (config.Cmd.length === 0) throw invalid("No exec command specified");
	return config;
};

/** The body of `POST /exec/{id}/start`. */
export const decodeExecStart = object({ Detach: boolean(), Tty: boolean(), ConsoleSize: optional(consoleSize) });
