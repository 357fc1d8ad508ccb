import type { Bench } from "./lib/bench.ts";
import { requests, trafficBench } from "./lib/traffic.ts";

export const bench: Bench = {
	title: "HTTP container to container, a connection each",
	unit: "requests/s",
	better: "higher",
	against: "best",
	rounds: 10,
	goal: 1,
	...trafficBench(requests("once")),
};
