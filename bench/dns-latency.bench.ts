import type { Bench } from "./lib/bench.ts";
import { containerDns } from "./lib/dns.ts";

export const bench: Bench = {
	title: "one name answered in a container",
	unit: "us",
	better: "lower",
	rounds: 5,
	goal: 1,
	...containerDns("latency"),
};
