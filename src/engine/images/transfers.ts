import { aborted, cancelled } from "./progress.ts";

interface Transfer<S> {
	readonly done: Promise<void>;
	readonly stop: AbortController;
	readonly watchers: Set<(state: S) => void>;
	last?: S;
}

type Work<S> = (report: (state: S) => void, signal: AbortSignal) => Promise<void>;

/** Work that several clients may want at once, by key: it is done once, all of them see how it goes, and it ends with the last of them. */
export class Transfers<S> {
	private readonly running = new Map<string, Transfer<S>>();

	/** Joins the work of this key or begins it; returns when it is done. Another's failure (its credentials, its route) is tried again. */
	async join(key: string, work: Work<S>, watch: (state: S) => void, signal: AbortSignal): Promise<void> {
		const other = this.running.get(key);
		if (other && !other.stop.signal.aborted) {
			const done = await this.follow(other, watch, signal).then(
				() => true,
				(error: unknown) => {
					if (signal.aborted) throw error;
					return false;
				},
			);
			if (done) return;
			return await this.join(key, work, watch, signal);
		}
		await this.follow(this.begin(key, work, other), watch, signal);
	}

	private begin(key: string, work: Work<S>, before: Transfer<S> | undefined): Transfer<S> {
		const stop = new AbortController();
		const watchers = new Set<(state: S) => void>();
		const report = (state: S) => {
			transfer.last = state;
			for (const watch of watchers) watch(state);
		};
		const run = async () => {
			// One that was given up may still be clearing away what it had.
			await before?.done.catch(() => {});
			if (stop.signal.aborted) throw cancelled();
			await work(report, stop.signal);
		};
		const transfer: Transfer<S> = { done: run(), stop, watchers };
		this.running.set(key, transfer);
		const forget = () => {
			if (this.running.get(key) === transfer) this.running.delete(key);
		};
		transfer.done.then(forget, forget);
		return transfer;
	}

	private async follow(transfer: Transfer<S>, watch: (state: S) => void, signal: AbortSignal): Promise<void> {
		transfer.watchers.add(watch);
		if (transfer.last !== undefined) watch(transfer.last);
		const gone = aborted(signal);
		try {
			await Promise.race([transfer.done, gone.promise]);
		} finally {
			gone.forget();
			transfer.watchers.delete(watch);
			if (transfer.watchers.size === 0) transfer.stop.abort();
		}
	}
}

/** At most `limit` at once, first come first served. */
export class Slots {
	private used = 0;
	private readonly queue: (() => void)[] = [];

	constructor(private readonly limit: number) {}

	/** `waits` is called when there is none free. Dispose of it to give it back. Throws "cancelled" on abort. */
	async acquire(signal: AbortSignal, waits: () => void = () => {}): Promise<Disposable> {
		if (signal.aborted) throw cancelled();
		if (this.used < this.limit) this.used++;
		else await this.turn(signal, waits);
		return {
			[Symbol.dispose]: () => {
				const next = this.queue.shift();
				if (next) next();
				else this.used--;
			},
		};
	}

	private turn(signal: AbortSignal, waits: () => void): Promise<void> {
		waits();
		return new Promise((resolve, reject) => {
			const go = () => {
				signal.removeEventListener("abort", leave);
				resolve();
			};
			const leave = () => {
				this.queue.splice(this.queue.indexOf(go), 1);
				reject(cancelled());
			};
			this.queue.push(go);
			signal.addEventListener("abort", leave, { once: true });
		});
	}
}
