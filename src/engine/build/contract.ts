import type { Credentials } from "../../drivers/registry/driver.ts";
import type { HostConfig } from "../containers/config.ts";

/** One line of docker's build output: `{stream}`, `{aux}`, `{status}`. */
export type BuildLine = Record<string, unknown>;

export interface BuildRequest {
	/** A tar in any compression; or a URL of one, of a Dockerfile, or of a git repository. */
	readonly context: { readonly body: AsyncIterable<Uint8Array> } | { readonly url: string };
	/** Path of the Dockerfile in the context. */
	readonly dockerfile: string;
	readonly tags: readonly string[];
	/** null: named without a value. */
	readonly buildArgs: ReadonlyMap<string, string | null>;
	readonly labels: Readonly<Record<string, string>>;
	/** A stage's name; "" builds all. */
	readonly target: string;
	readonly noCache: boolean;
	/** Ask the registry even when the base image is here. */
	readonly pull: boolean;
	/** Containers of RUN go when they have done well; with `forceRemove` always. */
	readonly remove: boolean;
	readonly forceRemove: boolean;
	/** Nothing but the image's id, unless it fails. */
	readonly quiet: boolean;
	/** Images whose layers may stand for steps with the same history. */
	readonly cacheFrom: readonly string[];
	/** `linux/arm64`: of base images that name none. */
	readonly platform?: string;
	/** Limits and network of the containers of RUN. */
	readonly host: Partial<HostConfig>;
	/** By registry as docker's configuration file has it. */
	readonly credentials: Readonly<Record<string, Credentials>>;
	readonly signal: AbortSignal;
}

/** What api asks of builds. */
export interface Builds {
	/**
	 * Builds an image. What is wrong before the first step throws at the first read; a step's failure later, as CommandFailed when a command
	 * ended with an exit code. Leaving the iteration or `signal` ends the build and removes its container.
	 */
	build(request: BuildRequest): AsyncIterable<readonly BuildLine[]>;
	/** Ids of images that a running build stands on. */
	inUse(imageId: string): boolean;
}
