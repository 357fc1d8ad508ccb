import { nowNanos } from "../shared/time.ts";
import type { EngineEvent, Events } from "./events.ts";

const KEPT = 1000;
/** A subscriber this far behind is cut off: memory stays bounded under a client that does not read. */
const MAX_BEHIND = 10_000;

/** Keeps the last 1000 events and hands new ones to every subscriber. */
export function createEventBus(now: () => bigint = nowNanos): Events {
	const kept: EngineEvent[] = [];
	const listeners = new Set<(event: EngineEvent) => void>();
	let last = 0n;
	return {
		publish: (type, action, id, attributes) => {
			// Strictly growing, so that `since` of the last event seen misses none.
			const at = now();
			last = at > last ? at : last + 1n;
			const event: EngineEvent = {
				Type: type,
				Action: action,
				Actor: { ID: id, Attributes: attributes },
				scope: "local",
				time: Number(last / 1_000_000_000n),
				timeNano: last,
			};
			kept.push(event);
			if (kept.length > KEPT) kept.shift();
			for (const listener of listeners) listener(event);
		},
		subscribe: (range, signal) => {
			// Registered here, not at the first read: nothing published in between is missed.
			const queue = range.since === undefined ? [] : kept.filter((event) => within(event, range));
			return follow(queue, range, signal, listeners, now);
		},
	};
}

function within(event: EngineEvent, range: { since?: bigint; until?: bigint }): boolean {
	return event.timeNano >= (range.since ?? 0n) && (range.until === undefined || event.timeNano <= range.until);
}

function follow(
	queue: EngineEvent[],
	range: { since?: bigint; until?: bigint },
	signal: AbortSignal,
	listeners: Set<(event: EngineEvent) => void>,
	now: () => bigint,
): AsyncIterable<EngineEvent> {
	let wake = () => {};
	let ended = signal.aborted;
	const end = () => {
		ended = true;
		listeners.delete(listener);
		signal.removeEventListener("abort", end);
		clearTimeout(timer);
		wake();
	};
	const listener = (event: EngineEvent) => {
		if (within(event, range)) queue.push(event);
		if (queue.length > MAX_BEHIND) end();
		wake();
	};
	let timer: ReturnType<typeof setTimeout> | undefined;
	const left = range.until === undefined ? undefined : Number((range.until - now()) / 1_000_000n);
	if (left !== undefined && left <= 0) ended = true;
	if (!ended) {
		listeners.add(listener);
		signal.addEventListener("abort", end);
		// setTimeout holds 31 bits of milliseconds; further away is as good as never.
		if (left !== undefined && left < 2 ** 31) timer = setTimeout(end, left + 1);
	}
	return {
		async *[Symbol.asyncIterator]() {
			try {
				for (;;) {
					const event = queue.shift();
					if (event) {
						yield event;
					} else if (ended) {
						return;
					} else {
						await new Promise<void>((resolve) => {
							wake = resolve;
						});
					}
				}
			} finally {
				end();
			}
		},
	};
}
