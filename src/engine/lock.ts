/** One queue per key: work of the same key runs one after the other, in the order asked. Not reentrant. */
export interface Locks {
	run<T>(key: string, work: () => Promise<T>): Promise<T>;
}

export function createLocks(): Locks {
	const tails = new Map<string, Promise<unknown>>();
	return {
		run: (key, work) => {
			const before = tails.get(key);
			const mine = before ? before.then(work, work) : work();
			tails.set(key, mine);
			const forget = () => {
				if (tails.get(key) === mine) tails.delete(key);
			};
			mine.then(forget, forget);
			return mine;
		},
	};
}
