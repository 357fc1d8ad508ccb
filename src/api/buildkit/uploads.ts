import { EngineError } from "../../shared/errors.ts";

/** How long a context and its build wait for each other. */
const WAIT_MS = 10_000;

interface Upload {
	readonly body: AsyncIterable<Uint8Array>;
	/** Answers the request that it comes in. */
	readonly end: () => void;
}

/** Contexts that come in a request of their own, by the id of the build that they are for; which of the two comes first is open. */
export class BuildUploads {
	private readonly places = new Map<string, PromiseWithResolvers<Upload>>();
	/** Ids whose context is being read. */
	private readonly reading = new Set<string>();

	/** Resolves when the build has read it, is over or does not come, or `signal` fires. Throws "conflict" when there is one already. */
	async offer(id: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
		const place = this.place(id);
		const { promise: over, resolve } = Promise.withResolvers<void>();
		const end = () => resolve();
		place.resolve({ body, end });
		if ((await place.promise).body !== body) throw new EngineError("conflict", `the context of build ${id} is there`);
		const unwanted = setTimeout(() => this.reading.has(id) || end(), WAIT_MS);
		signal.addEventListener("abort", end, { once: true });
		if (signal.aborted) end();
		await over;
		clearTimeout(unwanted);
		this.places.delete(id);
	}

	/** The context of this build. Throws "invalid" when none comes. */
	async *take(id: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
		const place = this.place(id);
		const late = AbortSignal.any([AbortSignal.timeout(WAIT_MS), signal]);
		const missing = () => place.reject(new EngineError("invalid", `the context of build ${id} did not come`));
		late.addEventListener("abort", missing, { once: true });
		if (late.aborted) missing();
		this.reading.add(id);
		try {
			yield* (await place.promise).body;
		} finally {
			late.removeEventListener("abort", missing);
			this.release(id);
		}
	}

	/** The build is over, and has read its context or never will. */
	release(id: string): void {
		this.reading.delete(id);
		const place = this.places.get(id);
		this.places.delete(id);
		// None may have come, or ever come.
		place?.promise.then(
			({ end }) => end(),
			() => {},
		);
	}

	private place(id: string): PromiseWithResolvers<Upload> {
		const place = this.places.get(id) ?? Promise.withResolvers<Upload>();
		this.places.set(id, place);
		return place;
	}
}
