import type { ExecRecord } from "../../engine/containers/contract.ts";
import { parseDetachKeys } from "../detach-keys.ts";

/** `GET /exec/{id}/json`. */
export function execView(record: ExecRecord) {
	const { config, state } = record;
	const [entrypoint = "", ...args] = config.Cmd;
	return {
		ID: record.id,
		Running: state.status === "running",
		ExitCode: state.status === "exited" ? state.exitCode : null,
		ProcessConfig: {
			tty: config.Tty,
			entrypoint,
			arguments: args,
			privileged: config.Privileged,
			...(config.User ? { user: config.User } : {}),
		},
		OpenStdin: config.AttachStdin,
		OpenStderr: config.AttachStderr,
		OpenStdout: config.AttachStdout,
		CanRemove: false,
		ContainerID: record.containerId,
		// Bytes to Go, and so base64 in JSON.
		DetachKeys: config.DetachKeys ? Buffer.from(parseDetachKeys(config.DetachKeys)).toString("base64") : "",
		Pid: state.status === "created" ? 0 : state.pid,
	};
}
