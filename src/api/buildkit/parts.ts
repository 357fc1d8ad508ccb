import type { Builds } from "../../engine/build/contract.ts";
import type { Images } from "../../engine/images/contract.ts";
import type { Logger } from "../../shared/log.ts";
import type { BuildJobs } from "./jobs.ts";
import type { BuildSessions } from "./session.ts";
import type { BuildUploads } from "./uploads.ts";

/** What BuildKit's services are served with. */
export interface BuildKitParts {
	readonly builds: Builds;
	readonly images: Images;
	readonly sessions: BuildSessions;
	readonly jobs: BuildJobs;
	readonly uploads: BuildUploads;
	/** What `ListWorkers` says of us. */
	readonly worker: WorkerFacts;
	readonly log: Logger;
}

export interface WorkerFacts {
	readonly id: string;
	/** Of the product. */
	readonly version: string;
	/** `linux/amd64`, best first. */
	readonly platforms: readonly string[];
	/** Address by which containers reach the host; "" when there is no default bridge. */
	readonly hostGateway: () => string;
}
