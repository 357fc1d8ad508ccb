import { logReadBench } from "./lib/logs.ts";

export const bench = logReadBench("local log read by API", "local");
