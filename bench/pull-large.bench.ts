import { pullBench } from "./lib/image-bench.ts";
import { bigImage } from "./lib/image-content.ts";

export const bench = pullBench({
	title: "pull of 200 MB in 6 layers",
	name: "pull-large",
	goal: 0.7,
	make: () => bigImage(6, 200e6),
});
