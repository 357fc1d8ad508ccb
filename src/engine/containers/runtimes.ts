import type { RuntimeCommand } from "../../drivers/runtime/driver.ts";

/** The OCI runtimes that a container may name in HostConfig.Runtime. */
export interface Runtimes {
	/** Of containers that name none. */
	readonly defaultName: string;
	has(name: string): boolean;
	/** What runs a container now. Throws EngineError: "invalid" for a name that is not known (any more), "internal" when it is not installed. */
	find(name: string): Promise<RuntimeCommand>;
}

/** Before containers were recorded with their runtime there was one. */
export const FIRST_RUNTIME = "crun";
