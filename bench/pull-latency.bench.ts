import type { Bench } from "./lib/bench.ts";
import { connect } from "./lib/http.ts";
import { bigImage } from "./lib/image-content.ts";
import { pull, removeImage } from "./lib/images.ts";
import { type BenchRegistry, startRegistry } from "./lib/registry.ts";

let registry: BenchRegistry | undefined;
const reference = () => `${registry?.host}/bench/latency`;

/** A client that lists containers every 5 ms while 200 MB are pulled: its slowest answer in a hundred. */
export const bench: Bench = {
	title: "/containers/json during a pull of 200 MB, p99",
	unit: "ms",
	better: "lower",
	rounds: 3,
	bar: 20,
	async open(engines) {
		registry = await startRegistry(engines);
		await registry.upload(await bigImage(6, 200e6), "bench/latency");
	},
	prepare: (engine) => removeImage(engine, reference()),
	async measure(engine) {
		const connection = await connect(engine.socket);
		let pulling = true;
		const pulled = pull(engine, reference()).finally(() => {
			pulling = false;
		});
		const times: number[] = [];
		while (pulling) {
			const begin = performance.now();
			await connection.request("GET", "/v1.43/containers/json");
			times.push(performance.now() - begin);
			await Bun.sleep(5);
		}
		await pulled;
		connection.close();
		await removeImage(engine, reference());
		return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? Number.NaN;
	},
	close: async () => await registry?.[Symbol.asyncDispose](),
};
