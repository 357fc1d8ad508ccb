import type { Bench } from "./lib/bench.ts";
import { throughput, trafficBench } from "./lib/traffic.ts";

export const bench: Bench = {
	title: "host to published port, one TCP stream",
	unit: "Mbit/s",
	better: "higher",
	against: "best",
	rounds: 10,
	goal: 1,
	...trafficBench(throughput(1), "host"),
};
