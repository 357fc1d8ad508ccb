import { logWriteBench } from "./lib/logs.ts";

export const bench = logWriteBench("local log written", "local");
