import { logReadBench } from "./lib/logs.ts";

export const bench = logReadBench("log read by API", "json-file");
