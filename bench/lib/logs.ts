import type { Bench } from "./bench.ts";
import { act, createContainer, type Engine, withConnection } from "./engine.ts";
import type { Connection } from "./http.ts";

/** A log of 50 MB in lines of 100 bytes. */
const BYTES = 50e6;
const LINE_BYTES = 100;
const FRAME_HEADER_BYTES = 8;

type LogDriver = "json-file" | "local";

const FRAME = { unit: "MB/s", better: "higher", rounds: 3, bar: 100 } as const;

/** From start to the end of a container that prints its log; its start is part of it. */
export function logWriteBench(title: string, driver: LogDriver): Bench {
	return {
		...FRAME,
		title,
		measure: (engine) =>
			withConnection(engine, async (connection) => {
				const id = await createPrinter(connection, driver);
				const begin = performance.now();
				await runToEnd(connection, id);
				const rate = rateSince(begin);
				await act(connection, "DELETE", `/containers/${id}`);
				return rate;
			}),
	};
}

/** The log read whole through the API. */
export function logReadBench(title: string, driver: LogDriver): Bench {
	const containers = new Map<string, string>();
	return {
		...FRAME,
		title,
		prepare: (engine) =>
			withConnection(engine, async (connection) => {
				const id = await createPrinter(connection, driver);
				await runToEnd(connection, id);
				containers.set(engine.name, id);
			}),
		measure: (engine) => readWhole(engine, containers.get(engine.name) ?? ""),
	};
}

async function readWhole(engine: Engine, id: string): Promise<number> {
	return await withConnection(engine, async (connection) => {
		const begin = performance.now();
		const { body } = await connection.request("GET", `/v1.43/containers/${id}/logs?stdout=1&stderr=1`);
		const rate = rateSince(begin);
		const frames = BYTES / LINE_BYTES;
		if (body.length < BYTES || body.length > BYTES + frames * FRAME_HEADER_BYTES) {
			throw new Error(`the log came as ${body.length} bytes, expected ${BYTES} and frame headers`);
		}
		return rate;
	});
}

async function createPrinter(connection: Connection, driver: LogDriver): Promise<string> {
	const command = ["sh", "-c", `yes ${"x".repeat(LINE_BYTES - 1)} | head -c ${BYTES}`];
	return await createContainer(connection, { command, hostConfig: { LogConfig: { Type: driver, Config: {} } } });
}

async function runToEnd(connection: Connection, id: string): Promise<void> {
	await act(connection, "POST", `/containers/${id}/start`);
	await act(connection, "POST", `/containers/${id}/wait`);
}

/** MB/s */
function rateSince(begin: number): number {
	return BYTES / 1e6 / ((performance.now() - begin) / 1000);
}
