import type { Duplex } from "node:stream";
import type { ImageRunConfig } from "../../oci/image.ts";
import type { ExtractOptions, PathStat } from "./archive.ts";
import type { ContainerConfig, HostConfig } from "./config.ts";
import type { ContainerRecord, EndpointConfig } from "./record.ts";
import type { StatsPair } from "./stats.ts";
import type { UpdateRequest } from "./update.ts";

/**
 * What api asks of the containers noun. `ref` is an id, an unambiguous id prefix or a name (with or without the leading slash):
 * none found throws "not-found" `No such container: REF`.
 */
export interface Containers {
	create(request: CreateRequest): Promise<{ id: string; warnings: string[] }>;
	/** "not-modified" when it runs already. */
	start(ref: string): Promise<void>;
	/** `timeout` in seconds, -1 waits for ever; undefined: the container's own. "not-modified" when it does not run. */
	stop(ref: string, options: { signal?: string; timeout?: number }): Promise<void>;
	restart(ref: string, options: { signal?: string; timeout?: number }): Promise<void>;
	/** `signal` as docker takes it: KILL, SIGKILL, 9. "conflict" when it does not run. */
	kill(ref: string, signal: string): Promise<void>;
	pause(ref: string): Promise<void>;
	unpause(ref: string): Promise<void>;
	rename(ref: string, name: string): Promise<void>;
	/** Puts the container on a network, at once when it runs. "forbidden" when it is on it already, "invalid" for modes without networks and settings the network cannot give. */
	connect(ref: string, network: string, endpoint: Omit<EndpointConfig, "networkName">): Promise<void>;
	/** Takes it off. "internal", as docker has it, when it is not on it. */
	disconnect(ref: string, network: string): Promise<void>;
	remove(ref: string, options: { force: boolean; volumes: boolean; link: boolean }): Promise<void>;
	/** `registered` is called once the wait cannot miss the exit any more: the reply's headers go out then. Rejects "cancelled" on abort. */
	wait(
		ref: string,
		condition: "not-running" | "next-exit" | "removed",
		signal: AbortSignal,
		registered: () => void,
	): Promise<{ exitCode: number; error?: string }>;
	/** A live view, never a copy to change. */
	inspect(ref: string): ContainerRecord;
	/** All records, newest first. Filters are api's (they speak docker's words) except that this is cheap to call. */
	list(): readonly ContainerRecord[];
	/** `CONTAINER/ALIAS`, names that links of others give containers, by the id of the container. */
	linkNames(): ReadonlyMap<string, readonly string[]>;
	/** Counts every change of any record: api caches what it draws by it. */
	readonly revision: number;
	/** Changes with each change of this container. */
	revisionOf(id: string): number;
	logs(ref: string, options: LogsRequest, signal: AbortSignal): { tty: boolean; chunks: AsyncIterable<Uint8Array> };
	/** `logs` replays the log first, `stream` goes on live. Multiplexed frames unless tty. */
	attach(ref: string, options: AttachRequest): Promise<{ tty: boolean; stream: Duplex; detached(): void }>;
	resize(ref: string, rows: number, columns: number): Promise<void>;
	/** `ps` run on the host over the container's pids. */
	top(ref: string, psArgs: string): Promise<{ Titles: string[]; Processes: string[][] }>;
	/** New limits and restart policy, for a running container at once. "invalid", "conflict" in docker's words. */
	update(ref: string, request: UpdateRequest): Promise<{ warnings: string[] }>;
	/** What it uses: a pair a second until it is removed or `signal` fires. */
	stats(ref: string, signal: AbortSignal): AsyncIterable<StatsPair>;
	/** One frame: at once, or (not `oneShot`) a second later with the frame before it. */
	statsOnce(ref: string, oneShot: boolean): Promise<StatsPair>;
	/** What is at the path inside the container, links not followed. "not-found" `Could not find the file PATH in container REF`. */
	statPath(ref: string, path: string): Promise<PathStat>;
	/** A tar of what is at the path. The body is read to its end or left by `return()`; `signal` leaves it too. */
	archive(ref: string, path: string, signal: AbortSignal): Promise<{ stat: PathStat; body: AsyncIterable<Uint8Array> }>;
	/** Unpacks a tar in any compression below a directory of the container. "invalid" when that is none or is read-only. */
	extract(ref: string, path: string, body: AsyncIterable<Uint8Array>, options: ExtractOptions): Promise<void>;
	/** Bytes of the writable layer and of the whole root. */
	sizes(id: string): Promise<{ rw: number; rootFs: number }>;
	/** Makes an image of the container's changes; paused meanwhile when it runs and `pause` says so. */
	commit(ref: string, options: CommitOptions): Promise<{ id: string }>;
	/** Its whole root as a tar. */
	exportRoot(ref: string): AsyncIterable<Uint8Array>;
	/** What it changed, sorted by path. */
	changes(ref: string): Promise<{ path: string; kind: "modified" | "added" | "deleted" }[]>;
	/** Directories of its root, by docker's names: inspect's GraphDriver.Data. */
	rootPaths(id: string): Record<string, string>;
}

export interface CommitOptions {
	readonly repo?: string;
	readonly tag?: string;
	readonly comment: string;
	readonly author: string;
	readonly pause: boolean;
	/** Dockerfile instructions. */
	readonly changes: readonly string[];
	/** Wins over the container's, field by field. */
	readonly config?: ImageRunConfig;
}

export interface CreateRequest {
	/** undefined: the engine makes one up (docker's adjective_name form) */
	readonly name?: string;
	/** As the client sent it, defaults filled in by api, image defaults not yet merged. */
	readonly config: ContainerConfig;
	readonly hostConfig: HostConfig;
	/** NetworkingConfig.EndpointsConfig. */
	readonly networks?: readonly EndpointConfig[];
	/** "linux/amd64" where the client asked for one. */
	readonly platform?: string;
	/** `NAME=value`, after those of `config`: kept in memory alone, and gone with this daemon. Secrets of builds. */
	readonly secretEnv?: readonly string[];
}

export interface LogsRequest {
	readonly stdout: boolean;
	readonly stderr: boolean;
	readonly timestamps: boolean;
	readonly details?: boolean;
	readonly follow: boolean;
	readonly since?: bigint;
	readonly until?: bigint;
	readonly tail?: number;
}

export interface AttachRequest {
	readonly stdin: boolean;
	readonly stdout: boolean;
	readonly stderr: boolean;
	readonly logs: boolean;
	readonly stream: boolean;
}

/** What api asks of exec. "not-found" `No such exec instance: ID`. */
export interface Execs {
	/** "conflict" when the container does not run or is paused. */
	create(containerRef: string, config: ExecConfig): Promise<{ id: string }>;
	/** Attached: the streams; the process starts after the attach. "conflict" when it ran already. */
	start(id: string, options: { tty: boolean; consoleSize?: [number, number] }): Promise<AttachedExec>;
	startDetached(id: string, options: { tty: boolean; consoleSize?: [number, number] }): Promise<void>;
	inspect(id: string): ExecRecord;
	resize(id: string, rows: number, columns: number): Promise<void>;
}

/** The streams of a started exec. */
export interface AttachedExec {
	readonly tty: boolean;
	readonly stream: Duplex;
	detached(): void;
	/**
	 * Its exit code is known. A client asks for that once its stream has ended, so the end waits for this: streams break before it when what owns the
	 * process dies.
	 */
	readonly ended?: Promise<void>;
}

export interface ExecConfig {
	readonly AttachStdin: boolean;
	readonly AttachStdout: boolean;
	readonly AttachStderr: boolean;
	readonly Tty: boolean;
	readonly Cmd: string[];
	readonly Env: string[];
	readonly User: string;
	readonly WorkingDir: string;
	readonly Privileged: boolean;
	readonly DetachKeys: string;
	readonly ConsoleSize?: [number, number];
}

export interface ExecRecord {
	readonly id: string;
	readonly containerId: string;
	readonly config: ExecConfig;
	readonly state:
		| { readonly status: "created" }
		| { readonly status: "running"; readonly pid: number }
		| { readonly status: "exited"; readonly exitCode: number; readonly pid: number };
}
