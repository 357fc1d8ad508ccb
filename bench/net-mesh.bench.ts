import type { Bench } from "./lib/bench.ts";
import { Mesh } from "./lib/mesh.ts";

const COUNT = 100;
const meshes = new Map<string, Mesh>();

/** A lost echo fails the round. */
export const bench: Bench = {
	title: `${COUNT} containers pinging each other, p99`,
	unit: "ms",
	better: "lower",
	rounds: 3,
	bar: 2,
	prepare: async (engine) => void meshes.set(engine.name, await Mesh.start(engine, COUNT)),
	async measure({ name }) {
		const { times = [], lost = 0 } = (await meshes.get(name)?.ping()) ?? {};
		if (lost > 0) throw new Error(`${lost} of ${lost + times.length} echoes were lost`);
		return times[Math.floor(times.length * 0.99)] ?? Number.NaN;
	},
	cleanup: async ({ name }) => await meshes.get(name)?.remove(),
};
