import type { Bench } from "./lib/bench.ts";
import { hostDns } from "./lib/dns.ts";

export const bench: Bench = {
	title: "names answered on the host",
	unit: "answers/s",
	better: "higher",
	rounds: 5,
	...hostDns("rate"),
};
