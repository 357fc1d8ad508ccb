import { containersSchema } from "./containers.ts";

/**
 * SQL steps in order; `user_version` counts those a file has had. A released step never changes: new ones go at the end.
 * Parts that keep tables of their own (networks, images) are appended by `openDatabase`'s caller in a fixed order.
 */
export const migrations: readonly string[] = [containersSchema];
