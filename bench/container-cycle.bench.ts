import type { Bench } from "./lib/bench.ts";
import { act, createContainer, withConnection } from "./lib/engine.ts";

export const bench: Bench = {
	title: "API create+start+wait+remove",
	unit: "ms",
	better: "lower",
	rounds: 40,
	goal: 0.1,
	bar: 13,
	measure: (engine) =>
		withConnection(engine, async (connection) => {
			const begin = performance.now();
			const id = await createContainer(connection, { command: ["true"] });
			await act(connection, "POST", `/containers/${id}/start`);
			await act(connection, "POST", `/containers/${id}/wait`);
			await act(connection, "DELETE", `/containers/${id}`);
			return performance.now() - begin;
		}),
};
