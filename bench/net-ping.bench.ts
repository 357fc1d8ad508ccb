import type { Bench } from "./lib/bench.ts";
import { roundTrip, trafficBench } from "./lib/traffic.ts";

export const bench: Bench = {
	title: "ping container to container, median",
	unit: "us",
	better: "lower",
	against: "best",
	rounds: 10,
	goal: 1,
	...trafficBench(roundTrip),
};
