import type { Bench } from "./lib/bench.ts";
import { act, createContainer, withConnection } from "./lib/engine.ts";
import { connect, parse } from "./lib/http.ts";

const containers = new Map<string, string>();

/** Create, start with hijacked streams until they end, ask for the exit code. */
export const bench: Bench = {
	title: "exec by API",
	unit: "ms",
	better: "lower",
	rounds: 30,
	goal: 0.25,
	prepare: (engine) =>
		withConnection(engine, async (connection) => {
			const id = await createContainer(connection, { command: ["sleep", "1000"] });
			await act(connection, "POST", `/containers/${id}/start`);
			containers.set(engine.name, id);
		}),
	async measure(engine) {
		const connection = await connect(engine.socket);
		const stream = await connect(engine.socket);
		try {
			const begin = performance.now();
			const body = { AttachStdout: true, AttachStderr: true, Cmd: ["true"] };
			const path = `/v1.43/containers/${containers.get(engine.name)}/exec`;
			const { Id } = parse(await connection.request("POST", path, { body }), "create exec") as { Id: string };
			await stream.request("POST", `/v1.43/exec/${Id}/start`, { body: { Detach: false, Tty: false }, upgrade: true });
			const { ExitCode } = (await act(connection, "GET", `/exec/${Id}/json`)) as { ExitCode: number };
			if (ExitCode !== 0) throw new Error(`exit code ${ExitCode}`);
			return performance.now() - begin;
		} finally {
			connection.close();
			stream.close();
		}
	},
};
