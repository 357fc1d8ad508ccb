import type { Bench } from "./lib/bench.ts";
import { createContainer, withConnection } from "./lib/engine.ts";
import { requestRate } from "./lib/rate.ts";

const COUNT = 100;

export const bench: Bench = {
	title: `/containers/json with ${COUNT} containers`,
	unit: "requests/s",
	better: "higher",
	rounds: 4,
	goal: 20,
	prepare: (engine) =>
		withConnection(engine, async (connection) => {
			for (let i = 0; i < COUNT; i++) await createContainer(connection, { command: ["true"] });
		}),
	measure: (engine) => requestRate(engine, "/v1.43/containers/json?all=1", 1500),
};
