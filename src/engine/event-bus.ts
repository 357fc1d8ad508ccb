import { messageOf } from "../shared/errors.ts";
import type { Logger } from "../shared/log.ts";
import { nowNanos } from "../shared/time.ts";
import type { EventJournal, StoredEvent } from "../store/events.ts";
import type { EngineEvent, Events } from "./events.ts";

const KEPT = 1000;
/** A subscriber this far behind is cut off: memory stays bounded under a client that does not read. */
const MAX_BEHIND = 10_000;

export interface EventBusParts {
	/** Nanoseconds since the epoch. */
	readonly now?: () => bigint;
	/** Keeps events over restarts. */
	readonly journal?: EventJournal;
	readonly log?: Logger;
}

/** Keeps the last 1000 events, with those of earlier daemons, and hands new ones to every subscriber. */
export function createEventBus({ now = nowNanos, journal, log }: EventBusParts = {}): Events {
	const kept: EngineEvent[] = [];
	const listeners = new Set<(event: EngineEvent) => void>();
	// Read when first asked for: most daemons are never asked for what was before them.
	let recalled = false;
	const recall = () => {
		if (recalled) return;
		recalled = true;
		kept.unshift(...(journal?.earlier() ?? []).map(fromStored));
		kept.splice(0, Math.max(0, kept.length - KEPT));
	};
	let last = 0n;
	return {
		publish: (type, action, id, attributes) => {
			// Strictly growing, so that `since` of the last event seen misses none.
			const at = now();
			last = at > last ? at : last + 1n;
			const stored = { at: last, type, action, id, attributes };
			const event = fromStored(stored);
			kept.push(event);
			if (kept.length > KEPT) kept.shift();
			write(stored, journal, log);
			for (const listener of listeners) listener(event);
		},
		subscribe: (range, signal) => {
			// Registered here, not at the first read: nothing published in between is missed.
			const replays = range.since !== undefined || range.until !== undefined;
			if (replays) recall();
			const queue = replays ? kept.filter((event) => within(event, range)) : [];
			return follow(queue, range, signal, listeners, now);
		},
	};
}

/** An event that cannot be kept is still told to those who listen: a full disk must not end the work it is about. */
function write(event: StoredEvent, journal: EventJournal | undefined, log: Logger | undefined): void {
	try {
		journal?.append(event);
	} catch (error) {
		log?.warn("event not kept", { action: event.action, id: event.id, error: messageOf(error) });
	}
}

function fromStored({ at, type, action, id, attributes }: StoredEvent): EngineEvent {
	return {
		Type: type as EngineEvent["Type"],
		Action: action,
		Actor: { ID: id, Attributes: attributes },
		scope: "local",
		time: Number(at / 1_000_000_000n),
		timeNano: at,
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
		if (range.until === undefined || event.timeNano <= range.until) queue.push(event);
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
