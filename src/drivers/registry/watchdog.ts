/** Ends an exchange that shows no sign of life: its signal aborts when nobody has touched it for `ms`, or when the caller gives up. */
export interface Watchdog {
	readonly signal: AbortSignal;
	/** The time ran out (and it was not the caller who gave up). */
	readonly fired: boolean;
	/** There was a sign of life: the time starts anew. */
	touch(): void;
	/** The time stands still until the next touch: it is not the registry that is waited for. */
	pause(): void;
	/** Aborts now: the rest of the answer is not wanted. */
	end(): void;
	/** No longer needed; the exchange itself is left alone. */
	stop(): void;
}

export function createWatchdog(ms: number, parent?: AbortSignal): Watchdog {
	const controller = new AbortController();
	let fired = false;
	let timer: Timer | undefined;
	const giveUp = () => {
		pause();
		controller.abort(parent?.reason);
	};
	const pause = () => {
		clearTimeout(timer);
		timer = undefined;
	};
	const touch = () => {
		if (controller.signal.aborted) return;
		timer ??= setTimeout(() => {
			fired = true;
			controller.abort();
		}, ms);
		timer.refresh();
	};
	const stop = () => {
		pause();
		parent?.removeEventListener("abort", giveUp);
	};
	if (parent?.aborted) giveUp();
	else parent?.addEventListener("abort", giveUp, { once: true });
	touch();
	return {
		signal: controller.signal,
		get fired() {
			return fired;
		},
		touch,
		pause,
		stop,
		end() {
			stop();
			controller.abort();
		},
	};
}
