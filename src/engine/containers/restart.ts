import type { HostConfig } from "./config.ts";

const FIRST_DELAY = 100;
const LAST_DELAY = 60_000;
/** Milliseconds a container must have run for the back-off to start anew. */
const GOOD_RUN = 10_000;

/** Whether the policy wants a container started again after an exit. `attempts`: restarts since the client's start. */
export function shouldRestart(
	policy: HostConfig["RestartPolicy"],
	exit: { exitCode: number; stoppedByUser: boolean; attempts: number },
): boolean {
	if (exit.stoppedByUser) return false;
	switch (policy.Name) {
		case "always":
		case "unless-stopped":
			return true;
		case "on-failure":
			return exit.exitCode !== 0 && (policy.MaximumRetryCount === 0 || exit.attempts < policy.MaximumRetryCount);
		case "no":
			return false;
	}
}

/** Milliseconds to wait: 100, doubling to a minute, from the start again after 10 s of running. */
export function nextDelay(before: number | undefined, ranMilliseconds: number): number {
	if (before === undefined || ranMilliseconds >= GOOD_RUN) return FIRST_DELAY;
	return Math.min(before * 2, LAST_DELAY);
}

/** Pending restarts, one per container. */
export interface Restarts {
	schedule(id: string, ranMilliseconds: number, start: () => void): void;
	/** No restart will come; the back-off is forgotten unless it goes on with a restart by policy. */
	cancel(id: string): void;
	/** None is begun any more. */
	close(): void;
}

export function createRestarts(): Restarts {
	const delays = new Map<string, number>();
	const timers = new Map<string, ReturnType<typeof setTimeout>>();
	let closed = false;
	return {
		schedule: (id, ran, start) => {
			if (closed) return;
			const delay = nextDelay(delays.get(id), ran);
			delays.set(id, delay);
			clearTimeout(timers.get(id));
			timers.set(
				id,
				setTimeout(() => {
					timers.delete(id);
					start();
				}, delay),
			);
		},
		cancel: (id) => {
			clearTimeout(timers.get(id));
			timers.delete(id);
			delays.delete(id);
		},
		close: () => {
			closed = true;
			for (const timer of timers.values()) clearTimeout(timer);
			timers.clear();
		},
	};
}
