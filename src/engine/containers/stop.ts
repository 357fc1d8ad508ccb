import { EngineError, messageOf } from "../../shared/errors.ts";
import { parseSignal } from "../../shared/signals.ts";
import { type Context, change, find, isRunning, publish } from "./context.ts";
import type { ContainerRecord } from "./record.ts";
import { startLocked } from "./start.ts";

const SIGKILL = 9;
const SIGTERM = 15;
const DEFAULT_TIMEOUT = 10;
/** Seconds a killed process has to be gone before it is said not to be. */
const KILL_PATIENCE = 10;

export interface StopOptions {
	readonly signal?: string;
	readonly timeout?: number;
}

/** Contract: Containers.stop. */
export async function stop(context: Context, ref: string, options: StopOptions): Promise<void> {
	const { id, state } = find(context, ref);
	if (options.signal) explained(`cannot stop container: ${ref}`, () => signalOf(options.signal ?? ""));
	if (state.status === "restarting") return stopRestarting(context, id, true);
	if (!isRunning(state)) throw new EngineError("not-modified", `container ${id} is already stopped`);
	await announced(context, id, () => end(context, id, options));
}

/** Clients are told `stop` at the end that this brings about, before `die` as docker has it, and though --rm takes the container away. */
async function announced(context: Context, id: string, work: () => Promise<void>): Promise<void> {
	const { stopping } = context;
	stopping.set(id, (stopping.get(id) ?? 0) + 1);
	try {
		await work();
	} finally {
		const left = (stopping.get(id) ?? 1) - 1;
		if (left > 0) stopping.set(id, left);
		else stopping.delete(id);
	}
}

/**
 * The machine goes down: every container is stopped as by a client, all at once, and comes back by its policy when the machine does. Resolves when
 * all have ended; one that cannot be ended is logged.
 */
export async function endForShutdown(context: Context): Promise<void> {
	context.restarts.close();
	const running = context.store.list().filter(({ state }) => isRunning(state));
	context.log.info("the machine goes down: stopping containers", { count: running.length });
	const ends = running.map(async ({ id, config: { StopTimeout: asked } }) => {
		// "For ever" is not to be had now.
		const timeout = asked === undefined || asked === null || asked < 0 ? DEFAULT_TIMEOUT : asked;
		await end(context, id, { timeout }, {});
	});
	for (const { reason } of (await Promise.allSettled(ends)).filter((one) => one.status === "rejected")) {
		context.log.error("container not stopped", { error: messageOf(reason) });
	}
}

/** Contract: Containers.restart. Of one that does not run: a start. */
export async function restart(context: Context, ref: string, options: StopOptions): Promise<void> {
	find(context, ref);
	const failure = `Cannot restart container ${ref}`;
	if (options.signal) explained(failure, () => signalOf(options.signal ?? ""));
	try {
		await endAndStart(context, ref, options);
	} catch (error) {
		throw prefixed(failure, error);
	}
}

async function endAndStart(context: Context, ref: string, options: StopOptions): Promise<void> {
	const { id, state } = find(context, ref);
	if (state.status === "restarting") await stopRestarting(context, id, true);
	context.restarts.cancel(id);
	// --rm must not take it away between the two.
	if (isRunning(state)) {
		const { hostConfig } = find(context, id);
		const keepOnce = { ...hostConfig, AutoRemove: false };
		try {
			const mark = { stoppedByUser: true, hostConfig: keepOnce };
			await announced(context, id, () => end(context, id, options, mark));
		} finally {
			change(context, id, { hostConfig });
		}
	}
	await context.locks.run(id, async () => {
		const record = find(context, id);
		if (!isRunning(record.state)) await startLocked(context, { ...record, stoppedByUser: false });
		publish(context, find(context, id), "restart");
	});
}

/** Contract: Containers.kill. */
export async function kill(context: Context, ref: string, text: string): Promise<void> {
	const failure = `cannot kill container: ${ref}`;
	const signal = explained(failure, () => signalOf(text || "KILL"));
	const { id, state, config, name } = explained(failure, () => find(context, ref));
	if (state.status === "restarting") return stopRestarting(context, id, false);
	if (!isRunning(state)) throw new EngineError("conflict", `${failure}: ${notRunning(id).message}`);
	const stops = signal === SIGKILL || signal === SIGTERM || signal === parseSignal(config.StopSignal ?? "TERM");
	if (stops && name) change(context, id, { stoppedByUser: true });
	await deliver(context, id, signal);
	if (stops) await thaw(context, id, signal);
	// docker answers once a killed container is gone.
	if (signal === SIGKILL) await gone(context, id, KILL_PATIENCE);
}

/** SIGKILL, and wait for the end to be recorded. */
export async function endNow(context: Context, id: string): Promise<void> {
	await end(context, id, { signal: "KILL", timeout: 0 });
}

/** @param mark what the record says from now on */
async function end(
	context: Context,
	id: string,
	options: StopOptions,
	mark: Partial<ContainerRecord> = { stoppedByUser: true },
): Promise<void> {
	const record = find(context, id);
	const exited = context.waits.on(id, "exit");
	try {
		change(context, id, mark);
		const signal = signalOf(options.signal || record.config.StopSignal || "TERM");
		const seconds = options.timeout ?? record.config.StopTimeout ?? DEFAULT_TIMEOUT;
		await send(context, id, signal);
		const ended = exited.result.then(() => true);
		if (await within(ended, seconds < 0 ? undefined : seconds)) return;
		await send(context, id, SIGKILL);
		if (await within(ended, KILL_PATIENCE)) return;
		throw new EngineError(
			"internal",
			`cannot stop container ${id}: it did not end ${KILL_PATIENCE} seconds after SIGKILL`,
		);
	} finally {
		exited.cancel();
	}
}

/** The signal, and that it was sent: before the end that comes of it is told. */
async function deliver(context: Context, id: string, signal: number): Promise<void> {
	const sent = context.runtime.kill(id, signal).then(() => {
		const record = context.store.get(id);
		if (record) publish(context, record, "kill", { signal: String(signal) });
	});
	const all = Promise.allSettled([context.signalling.get(id), sent]);
	context.signalling.set(id, all);
	try {
		await sent;
	} finally {
		if (context.signalling.get(id) === all) context.signalling.delete(id);
	}
}

async function send(context: Context, id: string, signal: number): Promise<void> {
	try {
		await deliver(context, id, signal);
	} catch (error) {
		// It has just ended: the exit is on its way.
		if (error instanceof EngineError && (error.code === "conflict" || error.code === "not-found")) return;
		throw error;
	}
	await thaw(context, id, signal);
}

/** A frozen process sees no signal, and SIGKILL only once it is let go (v1): that one ends it, so nobody is told that it goes on. */
async function thaw(context: Context, id: string, signal: number): Promise<void> {
	const record = context.store.get(id);
	if (record?.state.status !== "paused") return;
	await context.runtime.resume(id).catch(() => {});
	// It may heed the signal, or go on.
	const now = context.store.get(id);
	if (now?.state.status === "paused") change(context, id, { state: { ...now.state, status: "running" } });
	context.followHealth(id);
	if (signal !== SIGKILL) publish(context, record, "unpause");
}

async function gone(context: Context, id: string, seconds: number): Promise<void> {
	const exited = context.waits.on(id, "exit");
	try {
		const record = context.store.get(id);
		if (!record || !isRunning(record.state)) return;
		await within(
			exited.result.then(() => true),
			seconds,
		);
	} finally {
		exited.cancel();
	}
}

/** Ends the waiting for a restart by policy; `told`: as a stop, docker tells nobody of a kill that has nothing to kill. */
async function stopRestarting(context: Context, id: string, told: boolean): Promise<void> {
	context.restarts.cancel(id);
	await context.locks.run(id, async () => {
		const record = context.store.get(id);
		if (record?.state.status === "restarting") {
			change(context, id, { state: { ...record.state, status: "exited" }, stoppedByUser: true });
		}
	});
	const record = context.store.get(id);
	if (record && isRunning(record.state)) await announced(context, id, () => end(context, id, {}));
	else if (record && told) publish(context, record, "stop");
}

/** undefined seconds: for ever. */
async function within(done: Promise<boolean>, seconds: number | undefined): Promise<boolean> {
	if (seconds === undefined) return done;
	const late = Promise.withResolvers<boolean>();
	const timer = setTimeout(() => late.resolve(false), Math.min(seconds * 1000, 2 ** 31 - 1));
	try {
		return await Promise.race([done, late.promise]);
	} finally {
		clearTimeout(timer);
	}
}

function signalOf(text: string): number {
	const signal = parseSignal(text);
	if (signal !== undefined) return signal;
	const isNumber = /^-?[1-9]\d*$/.test(text);
	throw new EngineError(
		"invalid",
		isNumber ? `the linux daemon does not support signal ${text}` : `invalid signal: ${text}`,
	);
}

/** docker's words for an action on a container that does not run. */
export function notRunning(id: string): EngineError {
	return new EngineError("conflict", `container ${id} is not running`);
}

/** docker names the action and the container as the client did in front of some reasons. */
function explained<T>(prefix: string, work: () => T): T {
	try {
		return work();
	} catch (error) {
		throw prefixed(prefix, error);
	}
}

function prefixed(prefix: string, error: unknown): unknown {
	if (!(error instanceof EngineError)) return error;
	return new EngineError(error.code, `${prefix}: ${error.message}`, { cause: error });
}
