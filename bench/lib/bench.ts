import type { Engine } from "./engine.ts";

/** One figure of the table: measured once per round and engine, the rounds of the engines interleaved. */
export interface Bench {
	/** As in the table's first column. */
	readonly title: string;
	readonly unit: string;
	readonly better: "lower" | "higher";
	readonly rounds: number;
	/** Largest (better: lower) or smallest (better: higher) ratio to the first other engine that is good enough. */
	readonly goal?: number;
	/** Whom the ratio is to: the second engine of the run (default) or the best of the others. */
	readonly against?: "second" | "best";
	/** The same in absolute terms, in `unit`, on a quiet machine. */
	readonly bar?: number;
	/** Once, before any engine. */
	open?(engines: readonly Engine[]): Promise<void>;
	/** Before the first round on this engine; what it gives is handed to each round and to `cleanup`. */
	prepare?(engine: Engine): Promise<void>;
	/** One round; the first of each engine warms up and does not count. */
	measure(engine: Engine): Promise<number>;
	cleanup?(engine: Engine): Promise<void>;
	/** Once, after all engines, also when `open` or a round failed. */
	close?(): Promise<void>;
}
