import type { LogReader } from "../../drivers/log/driver.ts";
import type { ObservedProcess, RuntimeDriver } from "../../drivers/runtime/driver.ts";
import type { Snapshotter } from "../../drivers/snapshotter/driver.ts";
import type { MountStage } from "../../drivers/volume/driver.ts";
import { EngineError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/log.ts";
import type { ContainerStore } from "../../store/containers.ts";
import type { Events } from "../events.ts";
import type { Images } from "../images/contract.ts";
import type { Locks } from "../lock.ts";
import type { Sandboxes } from "../sandboxes/contract.ts";
import type { ContainerVolumes, Volumes } from "../volumes/contract.ts";
import type { AppArmor } from "./apparmor.ts";
import type { FileViews } from "./archive.ts";
import type { KernelFeatures } from "./kernel-limits.ts";
import { linkedAs } from "./link-names.ts";
import type { ContainerRecord, ContainerState } from "./record.ts";
import type { Restarts } from "./restart.ts";
import type { Runtimes } from "./runtimes.ts";
import type { Waits } from "./wait.ts";

export type SeccompProfile = "default" | "unconfined" | { readonly json: string };

/** What the containers noun is built from. */
export interface ContainerDeps {
	readonly store: ContainerStore<ContainerRecord>;
	readonly runtime: RuntimeDriver;
	readonly snapshotter: Snapshotter;
	readonly logs: LogReader;
	readonly images: Images;
	readonly sandboxes: Sandboxes;
	readonly volumes: Volumes & ContainerVolumes;
	readonly stage: MountStage;
	readonly events: Events;
	readonly log: Logger;
	readonly dataRoot: string;
	readonly runRoot: string;
	readonly instance: string;
	/** What `--add-host NAME:host-gateway` stands for; none: the host's address on the predefined network. */
	readonly hostGateways?: readonly string[];
	/** The host's: v1 has no private cgroup namespace by default, v2 has. */
	readonly cgroupVersion: 1 | 2;
	/** Limits that the kernel has; undefined: all. */
	readonly kernel?: KernelFeatures;
	/** Kernel numbers of the capabilities the engine can give; undefined: all. */
	readonly capabilities?: readonly number[];
	readonly runtimes: Runtimes;
	/** Text of a file in a mounted root, no symlink leading out of it. */
	readonly readInRoot: (root: string, path: string) => string | undefined;
	/** Makes a directory in a mounted root, with those above it; "internal" in docker's words when something else is there. */
	readonly makeDirectoryInRoot: (root: string, path: string) => void;
	readonly isDirectoryInRoot: (root: string, path: string) => boolean;
	/** For `docker cp`. */
	readonly files: FileViews;
	readonly runPs: (args: readonly string[]) => Promise<{ exitCode: number; stdout: string; stderr: string }>;
	/** undefined: the host has none. */
	readonly apparmor?: AppArmor;
	/** A static init for `--init`: tests replace the search in the usual places. */
	readonly initPath?: () => string | undefined;
}

/** What the files of this folder share. */
export interface Context extends ContainerDeps {
	readonly locks: Locks;
	readonly waits: Waits;
	readonly restarts: Restarts;
	/** Names that a create in flight holds, by name: the id. */
	readonly reserved: Map<string, string>;
	/** CreateRequest.secretEnv by container. */
	readonly secretEnv: Map<string, readonly string[]>;
	/** How many clients have asked for a container's stop and wait for its end, by its id: each is told `stop`. */
	readonly stopping: Map<string, number>;
	/** Signals under way, by their container's id: told before the end that they bring about. */
	readonly signalling: Map<string, Promise<unknown>>;
	/** Begins or ends a container's health checks by its state. */
	readonly followHealth: (containerId: string) => void;
	/** Called when a container's last process has ended: execs of it are over. */
	readonly execsEnded: (containerId: string) => void;
	/** At the daemon's start, with all processes that are there: execs of an earlier daemon are known again. */
	readonly execsFound: (processes: readonly ObservedProcess[]) => void;
}

/** The record of an id, unambiguous prefix or name; "not-found" in docker's words. */
export function find(context: Pick<Context, "store">, ref: string): ContainerRecord {
	const { store } = context;
	const name = ref.startsWith("/") ? ref.slice(1) : ref;
	const exact = store.get(ref) ?? store.byName(name) ?? linkedAs(store, name)?.target;
	if (exact) return exact;
	const [first, second] = /^[0-9a-f]+$/.test(ref) ? store.byPrefix(ref) : [];
	if (second) throw new EngineError("invalid", `Multiple IDs found with provided prefix: ${ref}`);
	if (!first) throw new EngineError("not-found", `No such container: ${ref}`);
	return first;
}

/** Writes a changed copy of the record as it is now; undefined when it is gone. */
export function change(
	context: Pick<Context, "store">,
	id: string,
	patch: Partial<ContainerRecord>,
): ContainerRecord | undefined {
	const now = context.store.get(id);
	if (!now) return undefined;
	const next = { ...now, ...patch };
	context.store.put(next);
	return next;
}

export function isRunning(state: ContainerState): state is Extract<ContainerState, { pid: number }> {
	return state.status === "running" || state.status === "paused";
}

/** One event of a container with docker's attributes. */
export function publish(
	context: Pick<Context, "events">,
	record: ContainerRecord,
	action: string,
	extra: Record<string, string> = {},
): void {
	const { Image, Labels } = record.config;
	context.events.publish("container", action, record.id, { ...Labels, image: Image, name: record.name, ...extra });
}

/** `connect` and `disconnect` of the networks a container is on; after them come its own `start` and `die`. */
export function publishNetworks(
	context: Pick<Context, "events" | "sandboxes">,
	{ id, network }: ContainerRecord,
	action: "connect" | "disconnect",
): void {
	for (const { networkName: name, networkId } of network?.endpoints ?? []) {
		// one that is gone was no predefined one
		const type = context.sandboxes.driverOf(networkId) ?? "bridge";
		context.events.publish("network", action, networkId, { container: id, name, type });
	}
}

/** `<dataRoot>/containers/<id>`: hostname, hosts, resolv.conf, the log. */
export function containerDir(context: Pick<Context, "dataRoot">, id: string): string {
	return `${context.dataRoot}/containers/${id}`;
}

/** `<runRoot>/bundles/<id>`: config.json of the runtime. */
export function bundleDir(context: Pick<Context, "runRoot">, id: string): string {
	return `${context.runRoot}/bundles/${id}`;
}
