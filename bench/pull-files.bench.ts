import { pullBench } from "./lib/image-bench.ts";
import { manyFilesImage } from "./lib/image-content.ts";

export const bench = pullBench({
	title: "pull of 10,000 small files",
	name: "pull-files",
	goal: 0.7,
	make: () => manyFilesImage(10_000),
});
