import type { Bench } from "./lib/bench.ts";
import { containerDns } from "./lib/dns.ts";

export const bench: Bench = {
	title: "names answered in a container",
	unit: "answers/s",
	better: "higher",
	rounds: 5,
	goal: 2,
	...containerDns("rate"),
};
