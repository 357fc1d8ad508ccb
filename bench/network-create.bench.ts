import type { Bench } from "./lib/bench.ts";
import { act, withConnection } from "./lib/engine.ts";
import { succeed } from "./lib/http.ts";

const NETWORK = "foredeck-bench-cycle";

export const bench: Bench = {
	title: "network create+remove",
	unit: "ms",
	better: "lower",
	rounds: 20,
	goal: 0.05,
	measure: (engine) =>
		withConnection(engine, async (connection) => {
			const begin = performance.now();
			const body = { Name: NETWORK };
			succeed(await connection.request("POST", "/v1.43/networks/create", { body }), "create network");
			await act(connection, "DELETE", `/networks/${NETWORK}`);
			return performance.now() - begin;
		}),
};
