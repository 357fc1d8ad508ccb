import { logWriteBench } from "./lib/logs.ts";

export const bench = logWriteBench("log written", "json-file");
