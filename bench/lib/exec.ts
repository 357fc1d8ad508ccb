import { act, type Engine } from "./engine.ts";
import { connect, parse } from "./http.ts";

/** Runs a command in a container to its end; what it wrote, by way of a terminal. Throws with that when its exit code is another than 0. */
export async function execIn(engine: Engine, container: string, command: readonly string[]): Promise<string> {
	const connection = await connect(engine.socket);
	const stream = await connect(engine.socket);
	try {
		const body = { AttachStdout: true, AttachStderr: true, Tty: true, Cmd: command };
		const made = await connection.request("POST", `/v1.43/containers/${container}/exec`, { body });
		const { Id } = parse(made, "create exec") as { Id: string };
		const start = { body: { Detach: false, Tty: true }, upgrade: true };
		const output = (await stream.request("POST", `/v1.43/exec/${Id}/start`, start)).body.toString();
		const { ExitCode } = (await act(connection, "GET", `/exec/${Id}/json`)) as { ExitCode: number };
		if (ExitCode !== 0) throw new Error(`${command.join(" ")}: exit code ${ExitCode}: ${output.slice(-200)}`);
		return output;
	} finally {
		connection.close();
		stream.close();
	}
}
