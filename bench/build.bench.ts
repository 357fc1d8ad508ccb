import { buildBench } from "./lib/builds.ts";

export const bench = buildBench("build of 7 steps without cache, by API", 8, false);
