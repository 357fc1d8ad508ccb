import type { Snapshotter } from "../../drivers/snapshotter/driver.ts";
import type { Platform } from "../../oci/manifest.ts";
import type { Logger } from "../../shared/log.ts";
import type { Containers } from "../containers/contract.ts";
import type { ImageRecord, Images } from "../images/contract.ts";
import type { BuildArgs } from "./build-args.ts";
import type { CacheMounts } from "./cache-mounts.ts";
import type { BuildContext } from "./context.ts";
import type { BuildRequest, BuildStep } from "./contract.ts";
import type { BuildFiles, BuildMounts } from "./files.ts";
import type { GitContext } from "./git-context.ts";
import type { Output } from "./output.ts";
import type { RunConfig } from "./run-config.ts";
import type { Turns } from "./turns.ts";

/** A file behind a URL. */
export interface RemoteFile {
	readonly body: AsyncIterable<Uint8Array>;
	readonly contentType: string;
	readonly lastModified?: Date;
}

/** What builds are made with. */
export interface BuildParts {
	readonly images: Images;
	readonly containers: Containers;
	readonly snapshotter: Snapshotter;
	readonly files: BuildFiles;
	readonly openUrl: (url: string, signal: AbortSignal) => Promise<RemoteFile>;
	/** Fetches a commit into the directory; returns where in it the context lies. */
	readonly cloneGit: (source: GitContext, directory: string, signal: AbortSignal) => Promise<string>;
	readonly mounts: BuildMounts;
	readonly caches: CacheMounts;
	/** For contexts; emptied at start. */
	readonly directory: string;
	readonly log: Logger;
}

/** One build under way. */
export interface Build {
	readonly parts: BuildParts;
	readonly request: BuildRequest;
	readonly output: Output;
	readonly signal: AbortSignal;
	readonly platform: Platform;
	readonly escapeChar: string;
	readonly context: BuildContext;
	/** Stages by their order, as far as they may be asked for; `built` builds one that is not yet. */
	readonly stages: { readonly name: string; readonly built: () => Promise<BuiltStage> }[];
	/** Of the stage under way. */
	readonly index: number;
	/** How many steps may work at once. */
	readonly turns: Turns;
	/** Containers of the instruction under way, or of failed ones. */
	readonly containers: string[];
	/** Images that may not go. */
	readonly inUse: Set<string>;
	/** Ends with the build: mounted images, downloads. */
	readonly cleanup: AsyncDisposableStack;
	/** Named contexts that were opened, by name. */
	readonly named: Map<string, Promise<BuildContext>>;
	/** `local:DIRECTORY` of the client, or a URL. */
	readonly openNamed: (value: string) => Promise<BuildContext>;
	/** Images mounted to copy from, by id. */
	readonly mounted: Map<string, Promise<string>>;
	/** Steps that `cacheFrom` images offer. */
	readonly offered: readonly ImageRecord[];
	/** The step that the client sees, where it sees any. */
	readonly now: { step?: BuildStep };
	/** How many stages the Dockerfile has, also those that are not built. */
	readonly stageCount: number;
	/** Its name and text. */
	readonly dockerfile: { readonly name: string; readonly text: string };
}

export interface BuiltStage {
	/** undefined: it has no files. */
	readonly image: ImageRecord | undefined;
	readonly args: BuildArgs;
}

/** A stage under way. */
export interface StageState {
	/** undefined: nothing yet, FROM scratch. */
	image: ImageRecord | undefined;
	run: RunConfig;
	readonly args: BuildArgs;
	author: string;
	/** CMD was given in this stage: ENTRYPOINT leaves it then. */
	cmdSet: boolean;
	/** A step was not found: those after it need not be looked for. */
	cacheMissed: boolean;
}
