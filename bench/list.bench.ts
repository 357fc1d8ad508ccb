import type { Bench } from "./lib/bench.ts";
import { act, createContainer, withConnection } from "./lib/engine.ts";
import { requestRate } from "./lib/rate.ts";

const COUNT = 100;

export const bench: Bench = {
	title: `/containers/json with ${COUNT} running containers`,
	unit: "requests/s",
	better: "higher",
	rounds: 4,
	goal: 20,
	prepare: (engine) =>
		withConnection(engine, async (connection) => {
			for (let i = 0; i < COUNT; i++) {
				const id = await createContainer(connection, { command: ["sleep", "1000"] });
				await act(connection, "POST", `/containers/${id}/start`);
			}
		}),
	measure: (engine) => requestRate(engine, "/v1.43/containers/json?all=1", 1500),
};
