/** Wakes those who wait until something is other than it was. */
export class Changes {
	private readonly waiting = new Set<() => void>();

	/** Resolves at the next `tell`, or when `signal` fires. */
	next(signal: AbortSignal): Promise<void> {
		return new Promise((resolve) => {
			if (signal.aborted) return resolve();
			const wake = () => {
				this.waiting.delete(wake);
				signal.removeEventListener("abort", wake);
				resolve();
			};
			this.waiting.add(wake);
			signal.addEventListener("abort", wake);
		});
	}

	tell(): void {
		for (const wake of [...this.waiting]) wake();
	}
}
