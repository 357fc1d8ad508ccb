import type { ProcessExit } from "../../drivers/runtime/driver.ts";
import { messageOf } from "../../shared/errors.ts";
import { nowNano } from "../../shared/time.ts";
import { type Action, plan } from "../reconcile.ts";
import { restoreNetworks } from "./connect.ts";
import { type Context, change, isRunning } from "./context.ts";
import { releaseAll, settle } from "./exit.ts";
import { finishVolumes, volumeHolder } from "./mounts/volumes.ts";
import { sharedWith } from "./networking.ts";
import type { ContainerRecord } from "./record.ts";
import { removeLocked } from "./remove.ts";
import { FIRST_RUNTIME } from "./runtimes.ts";
import { startLocked } from "./start.ts";

/**
 * Takes over what runs: adopts, then opens the sandboxes with what lives on, then settles, removes and starts by policy. Exits that are
 * reported meanwhile wait until it is done; restarts by policy go on behind.
 */
export async function open(context: Context, onExit: (exit: ProcessExit) => void): Promise<void> {
	let queued: ProcessExit[] | undefined = [];
	await context.runtime.open((exit) => (queued ? void queued.push(exit) : onExit(exit)));
	const processes = await context.runtime.list();
	const snapshots = context.snapshotter.active();
	for (const record of context.store.list()) nameRuntime(context, record);
	const actions = plan(context.store.list(), { processes, snapshots }, nowNano());
	for (const action of actions) {
		if (action.do === "adopt") adopt(context, action);
	}
	context.execsFound(processes.filter(({ containerId }) => lives(actions, containerId)));
	const keep = context.store
		.list()
		.flatMap(({ id, state, network, hostConfig }) =>
			isRunning(state) && network && sharedWith(hostConfig.NetworkMode) === undefined && lives(actions, id)
				? [{ containerId: id, settings: network }]
				: [],
		);
	context.stage.sweep();
	await context.volumes.open(context.store.list().map((record) => volumeHolder(record, lives(actions, record.id))));
	await context.sandboxes.open(keep);
	for (const { containerId } of keep) await attemptNetworks(context, containerId);
	for (const action of actions) {
		if (action.do !== "start") await attempt(context, action);
	}
	await finishVolumes(context);
	const reports = queued;
	queued = undefined;
	for (const exit of reports) onExit(exit);
	void startAll(context, actions);
}

/** Containers of earlier versions do not say what runs them. */
function nameRuntime(context: Context, { id, hostConfig }: ContainerRecord): void {
	if (hostConfig.Runtime === undefined) change(context, id, { hostConfig: { ...hostConfig, Runtime: FIRST_RUNTIME } });
}

function lives(actions: readonly Action[], id: string): boolean {
	return actions.some((action) => action.do === "adopt" && action.id === id);
}

function adopt(context: Context, { id, pid, startedAt }: Extract<Action, { do: "adopt" }>): void {
	const record = context.store.get(id);
	if (!record) return;
	const status = record.state.status === "paused" ? "paused" : "running";
	const { finishedAt } = record.state;
	const same = isRunning(record.state) && record.state.pid === pid && record.execIds.length === 0;
	if (!same) change(context, id, { state: { status, pid, startedAt, ...(finishedAt && { finishedAt }) }, execIds: [] });
	context.followHealth(id);
	context.log.info("container adopted", { id, pid });
}

async function attemptNetworks(context: Context, id: string): Promise<void> {
	try {
		await context.locks.run(id, () => restoreNetworks(context, id));
	} catch (error) {
		context.log.error("networks of a running container not restored", { id, error: messageOf(error) });
	}
}

/** One that fails does not keep the daemon from starting. */
async function attempt(context: Context, action: Action): Promise<void> {
	try {
		await context.locks.run(action.id, () => apply(context, action));
	} catch (error) {
		context.log.error("container not reconciled", { id: action.id, action: action.do, error: messageOf(error) });
	}
}

async function apply(context: Context, action: Action): Promise<void> {
	const record = context.store.get(action.id);
	switch (action.do) {
		case "settle":
			return record && settle(context, record, action.ended);
		case "remove":
			return removeLocked(context, action.id);
		case "start":
			return record && !isRunning(record.state) ? startLocked(context, record) : undefined;
		case "prepare-snapshot":
			return record && context.snapshotter.prepare(action.id, record.imageChain);
		case "release-process":
			return context.store.get(action.id) ? releaseAll(context, action.id) : context.runtime.release(action.id);
		case "remove-snapshot":
			return context.snapshotter.remove(action.id);
		case "adopt":
			return;
	}
}

async function startAll(context: Context, actions: readonly Action[]): Promise<void> {
	for (const action of actions) {
		if (action.do === "start") await attempt(context, action);
	}
}
