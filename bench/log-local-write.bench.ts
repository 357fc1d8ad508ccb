import type { Bench } from "./lib/bench.ts";
import { act, createContainer, withConnection } from "./lib/engine.ts";

const BYTES = 50e6;
const LINE = "x".repeat(99);

/** From start to the end of a container that prints 50 MB in lines of 100 bytes to its local log; its start is part of it. */
export const bench: Bench = {
	title: "local log written",
	unit: "MB/s",
	better: "higher",
	rounds: 3,
	bar: 100,
	measure: (engine) =>
		withConnection(engine, async (connection) => {
			const command = ["sh", "-c", `yes ${LINE} | head -c ${BYTES}`];
			const hostConfig = { LogConfig: { Type: "local", Config: {} } };
			const id = await createContainer(connection, { command, hostConfig });
			const begin = performance.now();
			await act(connection, "POST", `/containers/${id}/start`);
			await act(connection, "POST", `/containers/${id}/wait`);
			const seconds = (performance.now() - begin) / 1000;
			await act(connection, "DELETE", `/containers/${id}`);
			return BYTES / 1e6 / seconds;
		}),
};
