import { buildxBench } from "./lib/buildx.ts";

export const bench = buildxBench("docker build with buildx, 150 MB of context, all from the cache", 12, {
	change: false,
});
