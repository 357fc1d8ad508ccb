import type { BuildProgress, BuildStep, BuildWarning } from "../../engine/build/contract.ts";
import { digestOf } from "../../oci/digest.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { Changes } from "./changes.ts";
import type { statusResponse } from "./messages.ts";
import type { Decoded } from "./protobuf.ts";

export type StatusUpdate = Partial<Decoded<typeof statusResponse>>;

/** Of one step's output the client is told so much, as BuildKit does it. */
const LOG_LIMIT = 2 << 20;
const CLIPPED = Buffer.from("\n[output clipped, log limit 2MiB reached]\n");

/** What a build has said of itself so far. Everybody who follows it gets all from the start. */
export class ProgressLog implements BuildProgress {
	private readonly updates: StatusUpdate[] = [];
	private readonly changes = new Changes();
	private ended = false;
	/** Of output that is kept. */
	bytes = 0;
	private count = 0;
	/** The vertex of the step that began last: what is said of no step is said of it. */
	private last = "";

	/** @param build tells its steps apart from those of other builds */
	constructor(private readonly build: string) {}

	begin(name: string): BuildStep {
		const digest = digestOf(`${this.build} ${this.count++} ${name}`);
		this.last = digest;
		return new Step(digest, name, (update) => this.add(update));
	}

	warn({ short, detail, url, line }: BuildWarning): void {
		const at = { line, character: 0 };
		const warning = {
			vertex: this.last,
			level: 1,
			short: Buffer.from(short),
			detail: detail.map((one) => Buffer.from(one)),
			url,
			ranges: [{ start: at, end: at }],
			info: undefined,
		};
		this.add({ warnings: [warning] });
	}

	/** Its steps so far. */
	counts(): { total: number; completed: number; cached: number; warnings: number } {
		const last = new Map(this.updates.flatMap(({ vertexes = [] }) => vertexes.map((one) => [one.digest, one])));
		const steps = [...last.values()];
		return {
			total: steps.length,
			completed: steps.filter(({ completed }) => completed).length,
			cached: steps.filter(({ cached }) => cached).length,
			warnings: this.updates.filter(({ warnings = [] }) => warnings.length > 0).length,
		};
	}

	/** Nothing more is said. */
	end(): void {
		this.ended = true;
		this.changes.tell();
	}

	/** Everything from the start to the end. */
	async *follow(signal: AbortSignal): AsyncGenerator<StatusUpdate> {
		for (let at = 0; !signal.aborted; ) {
			const update = this.updates[at];
			if (update) {
				at++;
				yield update;
			} else if (this.ended) return;
			else await this.changes.next(signal);
		}
	}

	private add(update: StatusUpdate): void {
		for (const { msg } of update.logs ?? []) this.bytes += msg.length;
		this.updates.push(update);
		this.changes.tell();
	}
}

class Step implements BuildStep {
	private readonly started = now();
	private readonly statuses = new Map<string, ReturnType<typeof now>>();
	private isCached = false;
	private isOver = false;
	private logged = 0;

	constructor(
		private readonly digest: string,
		private readonly name: string,
		private readonly tell: (update: StatusUpdate) => void,
	) {
		this.tellVertex({});
	}

	cached(): void {
		this.isCached = true;
	}

	async log(stream: 1 | 2, bytes: Uint8Array): Promise<void> {
		if (this.isOver || this.logged > LOG_LIMIT) return;
		this.logged += bytes.length;
		const msg = this.logged > LOG_LIMIT ? CLIPPED : Buffer.from(bytes);
		this.tell({ logs: [{ vertex: this.digest, timestamp: now(), stream, msg }] });
	}

	status(id: string, { current, total = 0, done }: { current: number; total?: number; done?: boolean }): void {
		if (this.isOver) return;
		const started = this.statuses.get(id) ?? now();
		this.statuses.set(id, started);
		const completed = done ? now() : undefined;
		const one = { ID: id, vertex: this.digest, name: "", current, total, timestamp: now(), started, completed };
		this.tell({ statuses: [one] });
	}

	end(error?: unknown): void {
		if (this.isOver) return;
		this.isOver = true;
		this.tellVertex({ completed: now(), error: error === undefined ? "" : wordsOf(error) });
	}

	private tellVertex({ completed, error = "" }: { completed?: ReturnType<typeof now>; error?: string }): void {
		const { digest, name, started, isCached: cached } = this;
		this.tell({ vertexes: [{ digest, inputs: [], name, cached, started, completed, error }] });
	}
}

/** Clients show a step that ended in these words as cancelled. */
function wordsOf(error: unknown): string {
	return error instanceof EngineError && error.code === "cancelled" ? "context canceled" : messageOf(error);
}

export function now(): { seconds: number; nanos: number } {
	const ms = performance.timeOrigin + performance.now();
	const seconds = Math.floor(ms / 1000);
	return { seconds, nanos: Math.floor((ms - seconds * 1000) * 1e6) };
}
