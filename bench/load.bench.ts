import { loadBench } from "./lib/image-bench.ts";
import { bigImage } from "./lib/image-content.ts";

export const bench = loadBench({
	title: "load of 200 MB in 6 layers",
	name: "load",
	goal: 0.7,
	make: () => bigImage(6, 200e6),
});
