import type { Bench } from "./lib/bench.ts";
import { act, createContainer, withConnection } from "./lib/engine.ts";

const BYTES = 50e6;
const LINE_BYTES = 100;
const FRAME_HEADER_BYTES = 8;
const containers = new Map<string, string>();

/** A log of 50 MB in lines of 100 bytes, read whole through the API. */
export const bench: Bench = {
	title: "local log read by API",
	unit: "MB/s",
	better: "higher",
	rounds: 3,
	bar: 100,
	prepare: (engine) =>
		withConnection(engine, async (connection) => {
			const command = ["sh", "-c", `yes ${"x".repeat(LINE_BYTES - 1)} | head -c ${BYTES}`];
			const hostConfig = { LogConfig: { Type: "local", Config: {} } };
			const id = await createContainer(connection, { command, hostConfig });
			await act(connection, "POST", `/containers/${id}/start`);
			await act(connection, "POST", `/containers/${id}/wait`);
			containers.set(engine.name, id);
		}),
	measure: (engine) =>
		withConnection(engine, async (connection) => {
			const begin = performance.now();
			const path = `/v1.43/containers/${containers.get(engine.name)}/logs?stdout=1&stderr=1`;
			const { body } = await connection.request("GET", path);
			const seconds = (performance.now() - begin) / 1000;
			const frames = BYTES / LINE_BYTES;
			if (body.length < BYTES || body.length > BYTES + frames * FRAME_HEADER_BYTES) {
				throw new Error(`the log came as ${body.length} bytes, expected ${BYTES} and frame headers`);
			}
			return BYTES / 1e6 / seconds;
		}),
};
