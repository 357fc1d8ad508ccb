import { saveBench } from "./lib/image-bench.ts";
import { bigImage } from "./lib/image-content.ts";

export const bench = saveBench({
	title: "save of 200 MB in 6 layers",
	name: "save",
	goal: 1.0,
	make: () => bigImage(6, 200e6),
});
