import type { Bench } from "./lib/bench.ts";
import { throughput, trafficBench } from "./lib/traffic.ts";

export const bench: Bench = {
	title: "container to container on an internal network, one TCP stream",
	unit: "Mbit/s",
	better: "higher",
	against: "best",
	rounds: 10,
	goal: 1,
	...trafficBench(throughput(1), "internal"),
};
