import { buildxBench } from "./lib/buildx.ts";

export const bench = buildxBench("the same with one file of 1 MB changed", 10, { change: true });
