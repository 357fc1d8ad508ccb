import type { Docker } from "./docker.ts";
import type { Engine } from "./engine.ts";
import type { Place } from "./place.ts";

/** What a scenario gets: a running engine of its own, the docker CLI pointed at it, and a directory that is removed afterwards. */
export interface Lab {
	readonly engine: Engine;
	readonly docker: Docker;
	readonly directory: string;
	/** Of a scenario that has one. */
	readonly place?: Place;
}

/** Steps run in order; after a failed step the rest are skipped, since they build on each other. */
export interface Scenario {
	readonly title: string;
	/** More flags for the engine; `directory` is the scenario's own. */
	readonly flags?: (directory: string) => readonly string[];
	/** Other machines, and where the engine runs then; default: on this machine. */
	readonly place?: (directory: string) => Promise<Place>;
	readonly steps: readonly Step[];
}

export interface Step {
	readonly name: string;
	/** Why it cannot run on this machine. */
	readonly lacks?: string;
	run(lab: Lab): Promise<void>;
}

/** A step named for what it proves. @param lacks why it cannot run on this machine: it is skipped then, and says so */
export function step(name: string, run: (lab: Lab) => Promise<void>, lacks?: string): Step {
	return { name, run, ...(lacks !== undefined && { lacks }) };
}
