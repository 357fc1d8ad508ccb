import type { SolvedImage } from "../../engine/build/contract.ts";
import { EngineError } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import { ProgressLog } from "./progress.ts";
import type { ClientSession } from "./session.ts";

/** What the client made of its build, at its end: the results of its solves that it wants exported; or why not. */
export type Outcome = { readonly results: readonly string[] } | { readonly error: unknown };

/** One build, from the client's Control.Solve to its answer. Calls that name it may come before that. */
export class BuildJob {
	readonly progress: ProgressLog;
	private readonly beginning = Promise.withResolvers<{ session: ClientSession; entitlements: readonly string[] }>();
	private readonly ending = Promise.withResolvers<Outcome>();
	private readonly gone = new AbortController();
	private readonly results = new Map<string, SolvedImage>();

	constructor(readonly ref: string) {
		this.progress = new ProgressLog(ref);
		for (const promise of [this.beginning.promise, this.ending.promise]) promise.catch(() => {});
	}

	/** Fires when the client gives the build up. */
	get signal(): AbortSignal {
		return this.gone.signal;
	}

	/** What a solve is done with; waits for the beginning. */
	get begun(): Promise<{ session: ClientSession; entitlements: readonly string[] }> {
		return this.beginning.promise;
	}

	/** Waits for the client's last word. */
	get outcome(): Promise<Outcome> {
		return this.ending.promise;
	}

	begin(session: ClientSession, entitlements: readonly string[]): void {
		this.beginning.resolve({ session, entitlements });
	}

	finish(outcome: Outcome): void {
		this.ending.resolve(outcome);
	}

	cancel(): void {
		this.gone.abort();
		this.ending.resolve({ error: new EngineError("cancelled", "context canceled") });
	}

	/** Keeps what a solve has made, until the build ends; its name for the client. */
	keep(result: SolvedImage): string {
		const id = createId().slice(0, 25);
		this.results.set(id, result);
		return id;
	}

	result(id: string): SolvedImage {
		const found = this.results.get(id);
		if (!found) throw new EngineError("not-found", `no such ref: ${id}`);
		return found;
	}

	end(): void {
		this.gone.abort();
		this.progress.end();
		const over = new EngineError("not-found", `no such job ${this.ref}`);
		this.beginning.reject(over);
		for (const result of this.results.values()) result[Symbol.dispose]();
	}
}

/** How long a call waits for the build that it names. */
const WAIT_MS = 5_000;

/** The builds under way. */
export class BuildJobs {
	private readonly jobs = new Map<string, BuildJob>();
	private readonly waiting = new Set<() => void>();

	/** A new one. "conflict" when there is one of this name. */
	create(ref: string): BuildJob {
		if (this.jobs.has(ref)) throw new EngineError("conflict", `job ID ${ref} exists`);
		const job = new BuildJob(ref);
		this.jobs.set(ref, job);
		for (const wake of this.waiting) wake();
		return job;
	}

	/** Waits a little for one that is about to come. */
	async get(ref: string, signal: AbortSignal): Promise<BuildJob> {
		for (const late = AbortSignal.any([AbortSignal.timeout(WAIT_MS), signal]); ; ) {
			const found = this.jobs.get(ref);
			if (found) return found;
			if (late.aborted) throw new EngineError("not-found", `no such job ${ref}`);
			await new Promise<void>((resolve) => {
				const wake = () => {
					this.waiting.delete(wake);
					late.removeEventListener("abort", wake);
					resolve();
				};
				this.waiting.add(wake);
				late.addEventListener("abort", wake);
			});
		}
	}

	end(job: BuildJob): void {
		this.jobs.delete(job.ref);
		job.end();
	}

	cancelAll(): void {
		for (const job of this.jobs.values()) job.cancel();
	}
}
