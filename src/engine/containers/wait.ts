import { EngineError } from "../../shared/errors.ts";
import { type Context, find, isRunning } from "./context.ts";

export type WaitCondition = "not-running" | "next-exit" | "removed";
export interface WaitResult {
	readonly exitCode: number;
	readonly error?: string;
}
type Moment = "exit" | "removed";

/** Who waits for what of which container. */
export interface Waits {
	/** Resolves at the next such moment; registered when it returns. */
	on(id: string, moment: Moment): { result: Promise<WaitResult>; cancel(): void };
	/** "removed" wakes those who wait for an exit too: none will come. */
	notify(id: string, moment: Moment, result: WaitResult): void;
}

export function createWaits(): Waits {
	const waiting = new Map<string, Set<{ moment: Moment; resolve(result: WaitResult): void }>>();
	return {
		on: (id, moment) => {
			const { promise, resolve } = Promise.withResolvers<WaitResult>();
			const entry = { moment, resolve };
			const set = waiting.get(id) ?? new Set();
			waiting.set(id, set.add(entry));
			return { result: promise, cancel: () => void set.delete(entry) };
		},
		notify: (id, moment, result) => {
			const set = waiting.get(id);
			if (!set) return;
			for (const entry of set) {
				if (moment === "exit" && entry.moment === "removed") continue;
				set.delete(entry);
				entry.resolve(result);
			}
			if (set.size === 0) waiting.delete(id);
		},
	};
}

/** Contract: Containers.wait. */
export async function wait(
	context: Context,
	ref: string,
	condition: WaitCondition,
	signal: AbortSignal,
	registered: () => void,
): Promise<WaitResult> {
	const { id, state } = find(context, ref);
	if (condition === "not-running" && !isRunning(state) && state.status !== "restarting") {
		registered();
		return {
			exitCode: ("exitCode" in state ? state.exitCode : 0) ?? 0,
			error: "error" in state ? state.error : undefined,
		};
	}
	const waiter = context.waits.on(id, condition === "removed" ? "removed" : "exit");
	const aborted = Promise.withResolvers<never>();
	const abort = () => aborted.reject(new EngineError("cancelled", `wait for container ${id} was cancelled`));
	signal.addEventListener("abort", abort, { once: true });
	if (signal.aborted) abort();
	try {
		registered();
		return await Promise.race([waiter.result, aborted.promise]);
	} finally {
		signal.removeEventListener("abort", abort);
		waiter.cancel();
	}
}
