import { buildBench } from "./lib/builds.ts";

export const bench = buildBench("the same build from the cache", 40, true);
