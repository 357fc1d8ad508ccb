import type { Step } from "../talk.ts";

/** Requests that belong together, on things of their own. */
export interface Case {
	readonly name: string;
	readonly steps: readonly Step[];
}
