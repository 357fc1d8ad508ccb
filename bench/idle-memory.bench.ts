import type { Bench } from "./lib/bench.ts";
import { enginePids, pssOf } from "./lib/memory.ts";

/** All processes of the engine, with whatever ran before; for a clean figure run it alone on engines just started: `--only idle-memory`. */
export const bench: Bench = {
	title: "idle memory, PSS of all processes",
	unit: "MB",
	better: "lower",
	rounds: 2,
	goal: 0.7,
	async measure(engine) {
		if (engine.pids.length === 0) throw new Error("the engine's process is not known: give --pids NAME=PID,...");
		return pssOf(enginePids(engine));
	},
};
