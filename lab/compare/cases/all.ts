import type { Case } from "./case.ts";
import { createCases } from "./create.ts";
import { livesCases } from "./lives.ts";
import { operateCases } from "./operate.ts";
import { systemCases } from "./system.ts";

/** All cases, by group. */
export const GROUPS: Readonly<Record<string, readonly Case[]>> = {
	create: createCases(),
	operate: operateCases(),
	system: systemCases(),
	lives: livesCases(),
};
