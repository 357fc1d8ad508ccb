import type { Bench } from "./lib/bench.ts";
import { requestRate } from "./lib/rate.ts";

export const bench: Bench = {
	title: "/_ping",
	unit: "requests/s",
	better: "higher",
	rounds: 5,
	goal: 0.9,
	measure: (engine) => requestRate(engine, "/_ping", 1000),
};
