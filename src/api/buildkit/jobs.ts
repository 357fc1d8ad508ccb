import type { SolvedImage } from "../../engine/build/contract.ts";
import { EngineError } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import { Changes } from "./changes.ts";
import type { GrpcError } from "./grpc.ts";
import { now, ProgressLog } from "./progress.ts";
import type { ClientSession } from "./session.ts";

/** What the client made of its build, at its end: the results of its solves that it wants exported; or why not. */
export type Outcome = { readonly results: readonly string[] } | { readonly error: unknown };

/** What the client asked, for the history. */
export interface BuildAsked {
	readonly frontend: string;
	readonly attributes: ReadonlyMap<string, string>;
	readonly exporters: readonly { readonly Type: string; readonly Attrs: ReadonlyMap<string, string> }[];
	/** It shall be in no history. */
	readonly internal: boolean;
}

export interface BuildEnd {
	readonly error?: GrpcError;
	readonly response: Readonly<Record<string, string>>;
	readonly completed: ReturnType<typeof now>;
}

/** One build, from the client's Control.Solve to its answer. Calls that name it may come before that. */
export class BuildJob {
	readonly progress: ProgressLog;
	private readonly beginning = Promise.withResolvers<{ session: ClientSession; entitlements: readonly string[] }>();
	private readonly ending = Promise.withResolvers<Outcome>();
	private readonly gone = new AbortController();
	private readonly results = new Map<string, SolvedImage>();
	private readonly solving = new Set<Promise<unknown>>();
	private over: BuildEnd | undefined;
	readonly created = now();

	constructor(
		readonly ref: string,
		readonly asked: BuildAsked,
	) {
		this.progress = new ProgressLog(ref);
		for (const promise of [this.beginning.promise, this.ending.promise]) promise.catch(() => {});
	}

	/** Fires when the client gives the build up. */
	get signal(): AbortSignal {
		return this.gone.signal;
	}

	/** What a solve is done with; waits for the beginning. */
	async begun(): Promise<{ session: ClientSession; entitlements: readonly string[] }> {
		const begun = await this.beginning.promise;
		if (this.over) throw new EngineError("not-found", `no such job ${this.ref}`);
		return begun;
	}

	/** How it ended; undefined: it has not. */
	get end(): BuildEnd | undefined {
		return this.over;
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

	/** Solves under way: the build is not over before they are. */
	async during<T>(solving: Promise<T>): Promise<T> {
		this.solving.add(solving);
		try {
			return await solving;
		} finally {
			this.solving.delete(solving);
		}
	}

	/** Resolves when no solve is under way any more. */
	async settled(): Promise<void> {
		await Promise.allSettled(this.solving);
	}

	/** Keeps what a solve has made, until the build ends; its name for the client. */
	keep(result: SolvedImage): string {
		if (this.over) {
			result[Symbol.dispose]();
			throw new EngineError("cancelled", "context canceled");
		}
		const id = createId().slice(0, 25);
		this.results.set(id, result);
		return id;
	}

	result(id: string): SolvedImage {
		const found = this.results.get(id);
		if (!found) throw new EngineError("not-found", `no such ref: ${id}`);
		return found;
	}

	close(end: Omit<BuildEnd, "completed">): void {
		this.over = { ...end, completed: now() };
		this.gone.abort();
		this.progress.end();
		this.beginning.reject(new EngineError("not-found", `no such job ${this.ref}`));
		for (const result of this.results.values()) result[Symbol.dispose]();
		this.results.clear();
	}
}

/** How long a call waits for the build that it names. */
const WAIT_MS = 5_000;

/** Builds that have ended and are remembered, at most: calls that name them come late, and `docker buildx history` shows them. */
const REMEMBERED = 50;
/** Of their output, all together. */
const REMEMBERED_BYTES = 16 << 20;

/** The builds under way, and the last that have ended. */
export class BuildJobs {
	/** In the order of their beginnings. */
	private readonly jobs = new Map<string, BuildJob>();
	/** A build begins or ends. */
	readonly changes = new Changes();

	/** A new one. "conflict" when there is one of this name. */
	create(ref: string, asked: BuildAsked): BuildJob {
		if (this.jobs.has(ref)) throw new EngineError("conflict", `job ID ${ref} exists`);
		const job = new BuildJob(ref, asked);
		this.jobs.set(ref, job);
		this.changes.tell();
		return job;
	}

	/** Those of the history. */
	list(): BuildJob[] {
		return [...this.jobs.values()].filter(({ asked }) => !asked.internal);
	}

	/** It has ended, not long ago. */
	isOver(ref: string): boolean {
		return this.jobs.get(ref)?.end !== undefined;
	}

	/** Forgets one that has ended. */
	forget(ref: string): void {
		if (this.jobs.get(ref)?.end) this.jobs.delete(ref);
	}

	/** Waits a little for one that is about to come. */
	async get(ref: string, signal: AbortSignal): Promise<BuildJob> {
		for (const late = AbortSignal.any([AbortSignal.timeout(WAIT_MS), signal]); ; ) {
			const found = this.jobs.get(ref);
			if (found) return found;
			if (late.aborted) throw new EngineError("not-found", `no such job ${ref}`);
			await this.changes.next(late);
		}
	}

	end(job: BuildJob, end: Parameters<BuildJob["close"]>[0]): void {
		job.close(end);
		const over = [...this.jobs.values()].filter((one) => one.end).reverse();
		let bytes = 0;
		for (const [i, one] of over.entries()) {
			bytes += one.progress.bytes;
			if (i >= REMEMBERED || (i > 0 && bytes > REMEMBERED_BYTES)) this.jobs.delete(one.ref);
		}
		this.changes.tell();
	}

	/** One that is not under way stays as it is. */
	cancel(ref: string): void {
		this.jobs.get(ref)?.cancel();
	}

	cancelAll(): void {
		for (const job of this.jobs.values()) job.cancel();
	}
}
