import type { ResourceUsage } from "../../drivers/runtime/driver.ts";
import { EngineError } from "../../shared/errors.ts";
import { nowNano } from "../../shared/time.ts";
import { type Context, find, isRunning } from "./context.ts";

/** What one container used at one moment; without `usage` it did not run. */
export interface StatsFrame {
	readonly id: string;
	readonly name: string;
	/** RFC 3339 nano */
	readonly read?: string;
	readonly usage?: ResourceUsage;
}

export interface StatsPair {
	readonly current: StatsFrame;
	/** The frame before, once there is one. */
	readonly previous?: StatsFrame;
}

const INTERVAL_MS = 1000;

interface Watch {
	last?: StatsPair;
	busy: boolean;
	readonly listeners: Set<(pair: StatsPair | undefined) => void>;
}

/** Samples what somebody watches once a second, whatever their number; nothing when nobody does. */
export interface Stats {
	/** A pair a second until the container is removed or the caller leaves. One that reads slowly misses some. */
	watch(ref: string, signal: AbortSignal): AsyncIterable<StatsPair>;
	/** One frame: at once with `oneShot`, else after a second and with the frame before it. */
	once(ref: string, oneShot: boolean): Promise<StatsPair>;
	close(): void;
}

export function createStats(context: () => Pick<Context, "store" | "runtime">, interval = INTERVAL_MS): Stats {
	const watches = new Map<string, Watch>();
	let timer: ReturnType<typeof setInterval> | undefined;

	const take = async (id: string, watch: Watch): Promise<void> => {
		if (watch.busy) return;
		watch.busy = true;
		const current = await sample(context(), id);
		watch.busy = false;
		watch.last = current && { current, previous: watch.last?.current };
		for (const listener of [...watch.listeners]) listener(watch.last);
	};

	const join = (id: string, listener: (pair: StatsPair | undefined) => void) => {
		const known = watches.get(id);
		const watch: Watch = known ?? { busy: false, listeners: new Set() };
		watch.listeners.add(listener);
		watches.set(id, watch);
		timer ??= setInterval(() => {
			for (const [each, one] of watches) void take(each, one);
		}, interval);
		if (watch.last) listener(watch.last);
		else void take(id, watch);
		return () => {
			watch.listeners.delete(listener);
			if (watch.listeners.size === 0) watches.delete(id);
			if (watches.size > 0) return;
			clearInterval(timer);
			timer = undefined;
		};
	};

	return {
		watch: (ref, signal) => watchOne(find(context(), ref).id, join, signal),
		once: async (ref, oneShot) => {
			const { id, name, state } = find(context(), ref);
			const current = await sample(context(), id);
			if (!current?.usage || !isRunning(state)) return { current: { id, name } };
			if (oneShot) return { current };
			await Bun.sleep(interval);
			return { current: (await sample(context(), id)) ?? { id, name }, previous: current };
		},
		close: () => clearInterval(timer),
	};
}

/** undefined when the container is no more. */
async function sample(context: Pick<Context, "store" | "runtime">, id: string): Promise<StatsFrame | undefined> {
	const record = context.store.get(id);
	if (!record) return undefined;
	const { name, state } = record;
	if (!isRunning(state)) return { id, name };
	try {
		return { id, name, read: nowNano(), usage: await context.runtime.usage(id) };
	} catch (error) {
		// it has just ended
		if (error instanceof EngineError) return { id, name };
		throw error;
	}
}

type Join = (id: string, listener: (pair: StatsPair | undefined) => void) => () => void;

async function* watchOne(id: string, join: Join, signal: AbortSignal): AsyncGenerator<StatsPair> {
	let newest: StatsPair | undefined;
	let ended = signal.aborted;
	let wake = () => {};
	const end = () => {
		ended = true;
		wake();
	};
	signal.addEventListener("abort", end);
	const leave = join(id, (pair) => {
		newest = pair;
		if (pair) wake();
		else end();
	});
	try {
		while (!ended) {
			const pair = newest;
			newest = undefined;
			if (pair) {
				yield pair;
				continue;
			}
			const { promise, resolve } = Promise.withResolvers<void>();
			wake = resolve;
			await promise;
		}
	} finally {
		leave();
		signal.removeEventListener("abort", end);
	}
}
