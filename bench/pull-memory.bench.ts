import type { Bench } from "./lib/bench.ts";
import { bigImage } from "./lib/image-content.ts";
import { pull, removeImage } from "./lib/images.ts";
import { enginePids, pssOf } from "./lib/memory.ts";
import { type BenchRegistry, startRegistry } from "./lib/registry.ts";

/** An engine may give back what a busy time took. */
const SETTLE_MS = 4_000;
let registry: BenchRegistry | undefined;
const reference = () => `${registry?.host}/bench/memory`;

/** The engine's largest PSS while it pulls 2 GB in 4 layers, above what it was before. */
export const bench: Bench = {
	title: "memory of a 2 GB pull, peak above idle",
	unit: "MB",
	better: "lower",
	rounds: 1,
	bar: 150,
	async open(engines) {
		registry = await startRegistry(engines);
		await registry.upload(await bigImage(4, 2e9), "bench/memory");
	},
	prepare: (engine) => removeImage(engine, reference()),
	async measure(engine) {
		if (engine.pids.length === 0) throw new Error("the engine's process is not known: give --pids NAME=PID,...");
		await Bun.sleep(SETTLE_MS);
		const before = pssOf(enginePids(engine));
		let peak = before;
		let pulling = true;
		const pulled = pull(engine, reference()).finally(() => {
			pulling = false;
		});
		while (pulling) {
			await Bun.sleep(100);
			peak = Math.max(peak, pssOf(enginePids(engine)));
		}
		await pulled;
		await removeImage(engine, reference());
		return peak - before;
	},
	close: async () => await registry?.[Symbol.asyncDispose](),
};
