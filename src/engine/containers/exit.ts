import { rmSync } from "node:fs";
import type { ProcessExit } from "../../drivers/runtime/driver.ts";
import { messageOf } from "../../shared/errors.ts";
import { bundleDir, type Context, change, isRunning, publish, publishNetworks } from "./context.ts";
import { endedHealth } from "./health.ts";
import { releaseMounts } from "./mounts/prepare.ts";
import type { ContainerRecord, Ended } from "./record.ts";
import { removeLocked } from "./remove.ts";
import { shouldRestart } from "./restart.ts";
import { closeSharedMemory } from "./shared-namespaces.ts";
import { startLocked } from "./start.ts";

/** The end of a container's first process: state, event, then release, restart or removal. Under the lock, so after the start it ends. */
export function onContainerExit(context: Context, exit: ProcessExit): Promise<void> {
	return context.locks.run(exit.containerId, async () => {
		const record = context.store.get(exit.containerId);
		if (!record) return void (await context.runtime.release(exit.containerId));
		// A late report of a run whose end is known already.
		if (!isRunning(record.state)) return;
		await context.signalling.get(exit.containerId);
		await settle(context, record, { ...exit, startedAt: record.state.startedAt, finishedAt: exit.exitedAt });
	});
}

/** Marks the end and does what follows from it. Under the lock. */
export async function settle(context: Context, record: ContainerRecord, exit: Ended): Promise<void> {
	const { id, hostConfig } = record;
	const { exitCode, oomKilled, startedAt, finishedAt } = exit;
	const ended: Ended = { exitCode, oomKilled, startedAt, finishedAt, ...(exit.error && { error: exit.error }) };
	const again = shouldRestart(hostConfig.RestartPolicy, {
		exitCode,
		stoppedByUser: record.stoppedByUser,
		attempts: record.restartCount,
	});
	const state = { status: again ? ("restarting" as const) : ("exited" as const), ...ended };
	const next =
		change(context, id, { state, network: leftNetworks(record), execIds: [], health: endedHealth(record) }) ?? record;
	context.execsEnded(id);
	context.followHealth(id);
	publishEnd(context, record, next, ended);
	await releaseAll(context, id);
	context.waits.notify(id, "exit", { exitCode, error: ended.error });
	if (again) scheduleRestart(context, id, Date.parse(finishedAt) - Date.parse(startedAt));
	else if (hostConfig.AutoRemove) await removeLocked(context, id, true);
}

/** In docker's order, and with nothing between them: a crash tells all of it or nothing. */
function publishEnd(context: Context, before: ContainerRecord, record: ContainerRecord, ended: Ended): void {
	const { exitCode, oomKilled, startedAt, finishedAt } = ended;
	if (oomKilled) publish(context, record, "oom");
	publishNetworks(context, before, "disconnect");
	try {
		releaseMounts(context, record.id);
	} catch (error) {
		notReleased(context, record.id, "mounts", error);
	}
	for (let left = context.stopping.get(record.id) ?? 0; left > 0; left--) publish(context, record, "stop");
	const seconds = Math.max(0, Math.floor((Date.parse(finishedAt) - Date.parse(startedAt)) / 1000));
	publish(context, record, "die", { exitCode: String(exitCode), execDuration: String(seconds) });
}

/** What inspect shows of networks once the container is off them: which they were. */
function leftNetworks({ network }: ContainerRecord): ContainerRecord["network"] {
	const endpoints = (network?.endpoints ?? []).map(({ networkName, networkId }) => ({
		networkName,
		networkId,
		endpointId: "",
	}));
	return network && { sandboxId: "", endpoints, ports: [] };
}

/** Network, runtime state, mount, bundle: each is tried, whatever the others do. Safe to repeat. */
export async function releaseAll(context: Context, id: string): Promise<void> {
	const steps: [string, () => unknown][] = [
		["sandbox", () => context.sandboxes.leave(id)],
		["runtime", () => context.runtime.release(id)],
		["mounts", () => releaseMounts(context, id)],
		["shared memory", () => closeSharedMemory(context, id)],
		["snapshot", () => context.snapshotter.unmount(id)],
		["bundle", () => rmSync(bundleDir(context, id), { recursive: true, force: true })],
	];
	for (const [step, release] of steps) {
		try {
			await release();
		} catch (error) {
			notReleased(context, id, step, error);
		}
	}
}

function notReleased({ log }: Context, id: string, step: string, error: unknown): void {
	log.warn("container not released", { id, step, error: messageOf(error) });
}

/** Starts it again after the back-off, unless a client did something with it meanwhile. */
export function scheduleRestart(context: Context, id: string, ranMilliseconds: number): void {
	context.restarts.schedule(id, ranMilliseconds, () => {
		const work = context.locks.run(id, async () => {
			const record = context.store.get(id);
			if (record?.state.status !== "restarting") return;
			await startLocked(context, { ...record, restartCount: record.restartCount + 1 });
		});
		work.catch((error) => context.log.warn("container not restarted", { id, error: messageOf(error) }));
	});
}
