import type { ProcessExit } from "../../drivers/runtime/driver.ts";
import { messageOf } from "../../shared/errors.ts";
import { createLocks } from "../lock.ts";
import { archive, extract, statPath } from "./archive.ts";
import { commit } from "./commit.ts";
import { connect, disconnect } from "./connect.ts";
import { type ContainerDeps, type Context, find } from "./context.ts";
import type { Containers, Execs } from "./contract.ts";
import { create } from "./create.ts";
import { createExecs } from "./exec.ts";
import { onContainerExit } from "./exit.ts";
import { exportRoot } from "./export.ts";
import { createHealthProbes } from "./health-probes.ts";
import { linkNames } from "./link-names.ts";
import { open } from "./open.ts";
import { pause, rename, unpause } from "./pause.ts";
import { remove } from "./remove.ts";
import { createRestarts } from "./restart.ts";
import { start } from "./start.ts";
import { createStats, type Stats } from "./stats.ts";
import { endForShutdown, kill, restart, stop } from "./stop.ts";
import { attach, logs, resize } from "./streams.ts";
import { top } from "./top.ts";
import { update } from "./update.ts";
import { createWaits, wait } from "./wait.ts";

export interface ContainersEngine {
	readonly containers: Containers;
	readonly execs: Execs;
	/** Takes over what an earlier daemon left; once, before any request. */
	open(): Promise<void>;
	/** Before `close`, when the machine goes down: containers end, and come back by their policies. */
	endForShutdown(): Promise<void>;
	/** No restart is begun any more; the drivers are the caller's to close. */
	close(): Promise<void>;
}

export function createContainers(deps: ContainerDeps): ContainersEngine {
	const execs = createExecs(() => context);
	const health = createHealthProbes(() => context, execs);
	const context: Context = {
		...deps,
		locks: createLocks(),
		waits: createWaits(),
		restarts: createRestarts(),
		stopping: new Map(),
		signalling: new Map(),
		reserved: new Map(),
		secretEnv: new Map(),
		execsEnded: execs.containerEnded,
		execsFound: execs.restore,
		followHealth: (id) => health.follow(id),
	};
	const stats = createStats(() => context);
	const onExit = (exit: ProcessExit) => {
		if (exit.processId !== exit.containerId) return execs.onExit(exit);
		onContainerExit(context, exit).catch((error) =>
			deps.log.error("exit not handled", { id: exit.containerId, error: messageOf(error) }),
		);
	};
	return {
		containers: containersOf(context, stats),
		execs,
		open: () => open(context, onExit),
		endForShutdown: () => endForShutdown(context),
		close: async () => {
			context.restarts.close();
			health.close();
			stats.close();
			execs.close();
		},
	};
}

function containersOf(context: Context, stats: Stats): Containers {
	const { store } = context;
	return {
		create: (request) => create(context, request),
		start: (ref) => start(context, ref),
		stop: (ref, options) => stop(context, ref, options),
		restart: (ref, options) => restart(context, ref, options),
		kill: (ref, signal) => kill(context, ref, signal),
		pause: async (ref) => pause(context, ref),
		unpause: async (ref) => unpause(context, ref),
		rename: async (ref, name) => rename(context, ref, name),
		connect: (ref, network, endpoint) => connect(context, ref, network, endpoint),
		disconnect: (ref, network) => disconnect(context, ref, network),
		remove: (ref, options) => remove(context, ref, options),
		wait: (ref, condition, signal, registered) => wait(context, ref, condition, signal, registered),
		inspect: (ref) => find(context, ref),
		list: () => store.list(),
		linkNames: () => linkNames(store),
		get revision() {
			return store.revision;
		},
		revisionOf: (id) => store.revisionOf(id),
		logs: (ref, request, signal) => logs(context, ref, request, signal),
		attach: (ref, request) => attach(context, ref, request),
		resize: (ref, rows, columns) => resize(context, ref, rows, columns),
		top: (ref, psArgs) => top(context, ref, psArgs),
		commit: (ref, options) => commit(context, ref, options),
		exportRoot: (ref) => exportRoot(context, ref),
		changes: async (ref) => context.snapshotter.changes(find(context, ref).id),
		rootPaths: (id) => ({ ID: id, ...context.snapshotter.describe(id) }),
		update: (ref, request) => update(context, ref, request),
		stats: (ref, signal) => stats.watch(ref, signal),
		statsOnce: (ref, oneShot) => stats.once(ref, oneShot),
		statPath: (ref, path) => statPath(context, ref, path),
		archive: (ref, path, signal) => archive(context, ref, path, signal),
		extract: (ref, path, body, options) => extract(context, ref, path, body, options),
		sizes: async (id) => {
			const { imageChain } = find(context, id);
			const rw = await context.snapshotter.usage(id);
			const layers = imageChain.reduce((sum, chainId) => sum + context.snapshotter.size(chainId), 0);
			return { rw, rootFs: rw + layers };
		},
	};
}
