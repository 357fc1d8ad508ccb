import type { Duplex } from "node:stream";
import type { Credentials } from "../../drivers/registry/driver.ts";
import type { HostConfig } from "../containers/config.ts";
import type { ImageRecord } from "../images/contract.ts";

/** One line of docker's build output: `{stream}`, `{aux}`, `{status}`. */
export type BuildLine = Record<string, unknown>;

export interface BuildRequest {
	/**
	 * A tar in any compression; or a URL of one, of a Dockerfile, or of a git repository; or (with `buildKit`) the name of a directory that the
	 * client syncs.
	 */
	readonly context:
		| { readonly body: AsyncIterable<Uint8Array> }
		| { readonly url: string }
		| { readonly local: string };
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
	/** Given by clients of BuildKit's protocol: the Dockerfile is read as BuildKit reads it. undefined: the classic builder. */
	readonly buildKit?: BuildKitOptions;
}

/** What only BuildKit's protocol has. */
export interface BuildKitOptions {
	readonly client: BuildClient;
	/** The directory of the client that has the Dockerfile; undefined: it is in the context. */
	readonly dockerfileIn?: string;
	readonly progress: BuildProgress;
	/** `--build-context NAME=VALUE`, as the client writes them: `docker-image://REF`, `local:DIRECTORY`, a URL. Names in lower case. */
	readonly namedContexts: ReadonlyMap<string, string>;
	/** Stages (names, lower case) whose steps are not looked for in the cache. */
	readonly noCacheFilter: readonly string[];
	/** Tells contexts of one client apart from those of others, so that only what changed is sent again. */
	readonly sharedKey: string;
	/** What the client allows: `network.host`, `security.insecure`. */
	readonly entitlements: readonly string[];
}

/** What a build can ask of the client that started it, while it runs. Throws "invalid" in BuildKit's words. */
export interface BuildClient {
	/** Brings a directory of the client into `receiver`: entries in order of their paths, then the content of those it asked for. */
	sync(request: SyncRequest, receiver: TreeReceiver): Promise<void>;
	/** `--secret id=ID`; undefined: the client has none of that name. */
	secret(id: string): Promise<Uint8Array | undefined>;
	/** A new connection to the client's ssh agent `--ssh ID` ("default"). Throws when the client forwards none of that name. */
	ssh(id: string): Promise<Duplex>;
	/** For a registry, by its host name; undefined: none. */
	credentials(host: string): Promise<Credentials | undefined>;
	/** A file that the client offers under `http://buildkit-session/...` (`docker build -`). */
	upload(url: string): AsyncIterable<Uint8Array>;
}

export interface SyncRequest {
	/** `context`, `dockerfile`, or a name of `--build-context`. */
	readonly name: string;
	/** In the language of .dockerignore, relative to the directory. Empty: everything. */
	readonly include: readonly string[];
	readonly exclude: readonly string[];
	/** Only these paths (wildcards allowed), and what links on the way lead to. Empty: everything. */
	readonly follow: readonly string[];
	readonly signal: AbortSignal;
}

/** One file of the client. `mode` is Linux's st_mode. */
export interface TreeEntry {
	readonly path: string;
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	readonly size: number;
	/** Nanoseconds since 1970. */
	readonly modified: bigint;
	/** Of a symbolic link: its target. Of a file: the earlier path that it is another name of. "" else. */
	readonly linkName: string;
	readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

/** Where a synced directory goes. */
export interface TreeReceiver {
	/** Takes an entry; whether its content is asked for. Throws "invalid" for a path that leaves the directory. */
	entry(entry: TreeEntry): boolean;
	/** Content of a file that was asked for, in order; empty at its end. */
	content(path: string, bytes: Uint8Array): void;
}

/** What a build tells its client: steps that run one after the other or at once. */
export interface BuildProgress {
	/** A step begins. */
	begin(name: string): BuildStep;
	/** Of the Dockerfile, by its line; shown when the build is done. */
	warn(warning: BuildWarning): void;
}

export interface BuildStep {
	/** It was in the cache. */
	cached(): void;
	/** Output of its command. Resolves once the client has caught up. */
	log(stream: 1 | 2, bytes: Uint8Array): Promise<void>;
	/** A part of the step, as a layer that is fetched: bytes so far; `done` at its end. */
	status(id: string, state: { readonly current: number; readonly total?: number; readonly done?: boolean }): void;
	/** It has ended, with an error or well. What comes after is dropped. */
	end(error?: unknown): void;
}

export interface BuildWarning {
	readonly short: string;
	readonly detail: readonly string[];
	readonly url: string;
	/** From 1. */
	readonly line: number;
}

export interface SolvedImage extends Disposable {
	readonly image: ImageRecord;
	/** Its files, until they are disposed of. */
	open(): Promise<ImageFiles>;
}

export interface ImageFiles extends AsyncDisposable {
	/** Everything in order of the paths, parents first; paths without a slash in front. */
	entries(): Iterable<TreeEntry>;
	content(path: string): AsyncIterable<Uint8Array>;
	tar(): AsyncIterable<Uint8Array>;
}

/** Something that builds keep beside images: a cache of `RUN --mount=type=cache`, a copy of a client's directory. */
export interface BuildCacheEntry {
	readonly id: string;
	readonly type: "exec.cachemount" | "source.local";
	readonly description: string;
	/** RFC 3339 with nanoseconds. */
	readonly created: string;
	readonly lastUsed: string;
	readonly usageCount: number;
	readonly inUse: boolean;
	/** Bytes. */
	readonly size: number;
}

export interface CachePrune {
	readonly accepts: (entry: BuildCacheEntry) => boolean;
	/** Only those that no build has used for so long. */
	readonly unusedForMs?: number;
	/** What may stay, in bytes; 0: nothing. */
	readonly keepBytes?: number;
}

/** What api asks of builds. */
export interface Builds {
	/**
	 * Builds an image. What is wrong before the first step throws at the first read; a step's failure later, as CommandFailed when a command
	 * ended with an exit code. Leaving the iteration or `signal` ends the build and removes its container.
	 */
	build(request: BuildRequest): AsyncIterable<readonly BuildLine[]>;
	/**
	 * The same for a client of BuildKit's protocol (`buildKit` is given): it is told by `progress`. A step's failure throws as StepFailed. Nobody
	 * deletes the image until it is disposed of.
	 */
	solve(request: BuildRequest): Promise<SolvedImage>;
	cacheUsage(): Promise<BuildCacheEntry[]>;
	/** Deletes what no build uses and the request accepts, the one unused longest first; which they were. */
	pruneCache(request: CachePrune): Promise<BuildCacheEntry[]>;
	/** Ids of images that a running build stands on. */
	inUse(imageId: string): boolean;
}
