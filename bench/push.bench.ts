import { pushBench } from "./lib/image-bench.ts";
import { bigImage } from "./lib/image-content.ts";

export const bench = pushBench({
	title: "push of 200 MB in 6 layers",
	name: "upload",
	goal: 1.0,
	make: () => bigImage(6, 200e6),
});
