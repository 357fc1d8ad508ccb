import { availableParallelism } from "node:os";
import { workerEntry } from "../../../shared/worker-entry.ts";
import type { FromWorker, LayerResult, LayerTask, ToWorker } from "./layer-protocol.ts";

interface Listener {
	/** Bytes of the source that the worker took. */
	taken(bytes: number): void;
	piece(piece: Uint8Array): void;
	settle(result: LayerResult | Error): void;
}

interface Slot {
	readonly worker: Worker;
	readonly jobs: Map<number, Listener>;
	idle?: Timer;
}

export interface LayerStream {
	readonly pieces: AsyncIterable<Uint8Array>;
	/** Once all pieces were taken. */
	readonly result: Promise<LayerResult>;
}

const IDLE_MS = 5000;
/** Bytes of a stream that may be under way to a worker; they go in pieces of PIECE. */
const WINDOW = 4 * 1024 * 1024;
const PIECE = 512 * 1024;
/** Pieces (of up to 1 MiB) that a worker may send ahead. */
const AHEAD = 3;

/**
 * A few Workers for what reads or writes whole layers. They start when there is work and end when they had none for a while: they cost memory
 * only while they work. A job goes to the Worker with the fewest, so no job waits for another, however slow its client is.
 */
export class LayerWorkers implements Disposable {
	private readonly slots = new Set<Slot>();
	private next = 1;

	constructor(private readonly limit = Math.min(availableParallelism(), 4)) {}

	/** Does a task that gives no bytes; `body` is the source of a streamed one. Rejects with the body's own error when that throws. */
	async call(
		task: LayerTask,
		body?: AsyncIterable<Uint8Array>,
		onProgress?: (bytes: number) => void,
	): Promise<LayerResult> {
		const { promise, resolve, reject } = Promise.withResolvers<LayerResult>();
		const source = body?.[Symbol.asyncIterator]();
		const window = new Window();
		let total = 0;
		let failure: { readonly error: unknown } | undefined;
		const job = this.start(task, {
			taken: (bytes) => {
				window.taken(bytes);
				total += bytes;
				onProgress?.(total);
			},
			piece: () => undefined,
			settle: (result) => {
				// Not waited for: a source that stalls must not keep the outcome back.
				if (!window.close()) source?.return?.()?.catch(() => undefined);
				if (!(result instanceof Error)) resolve(result);
				else reject(failure ? failure.error : result);
			},
		});
		if (source) {
			send(source, window, job).catch((error: unknown) => {
				failure = { error };
				job({ abort: true });
			});
		}
		return await promise;
	}

	/** Does a task that gives bytes. It starts when `pieces` is first read, and ends when that is abandoned. */
	stream(task: LayerTask): LayerStream {
		const { promise, resolve, reject } = Promise.withResolvers<LayerResult>();
		promise.catch(() => undefined);
		const start = (listener: Listener) => this.start(task, listener);
		async function* pieces(): AsyncGenerator<Uint8Array> {
			const queue: Uint8Array[] = [];
			let outcome: LayerResult | Error | undefined;
			let wake = Promise.withResolvers<void>();
			const job = start({
				taken: () => undefined,
				piece: (piece) => {
					queue.push(piece);
					wake.resolve();
				},
				settle: (result) => {
					outcome = result;
					wake.resolve();
				},
			});
			job({ credit: AHEAD });
			try {
				for (;;) {
					const piece = queue.shift();
					if (piece) {
						job({ credit: 1 });
						yield piece;
					} else if (outcome instanceof Error) throw outcome;
					else if (outcome) return resolve(outcome);
					else {
						await wake.promise;
						wake = Promise.withResolvers<void>();
					}
				}
			} catch (error) {
				reject(error);
				throw error;
			} finally {
				if (!outcome) job({ abort: true });
				reject(new Error("the stream was not read to its end"));
			}
		}
		return { pieces: pieces(), result: promise };
	}

	[Symbol.dispose](): void {
		for (const slot of this.slots) this.end(slot, "the layer store is closing");
	}

	/** Starts a job; the returned function sends it messages. */
	private start(task: LayerTask, listener: Listener): Send {
		const slot = this.pick();
		const job = this.next++;
		slot.jobs.set(job, listener);
		const send: Send = (message, transfer) =>
			slot.worker.postMessage({ job, ...message } satisfies ToWorker, transfer ?? []);
		send({ task });
		return send;
	}

	private pick(): Slot {
		const least = [...this.slots].sort((a, b) => a.jobs.size - b.jobs.size)[0];
		const slot = least && (least.jobs.size === 0 || this.slots.size >= this.limit) ? least : this.open();
		clearTimeout(slot.idle);
		return slot;
	}

	private open(): Slot {
		const worker = new Worker(workerEntry("src/drivers/snapshotter/overlay/layer-worker.ts"));
		const slot: Slot = { worker, jobs: new Map() };
		worker.onmessage = (event: MessageEvent<FromWorker>) => this.receive(slot, event.data);
		worker.onerror = (event) => this.end(slot, `layer worker failed: ${event.message}`);
		this.slots.add(slot);
		return slot;
	}

	private receive(slot: Slot, message: FromWorker): void {
		const listener = slot.jobs.get(message.job);
		if ("taken" in message) listener?.taken(message.taken);
		else if ("piece" in message) listener?.piece(message.piece);
		else {
			slot.jobs.delete(message.job);
			listener?.settle("error" in message ? new Error(message.error) : message.result);
			if (slot.jobs.size > 0) return;
			slot.idle = setTimeout(() => this.end(slot, "idle"), IDLE_MS);
			slot.idle.unref();
		}
	}

	private end(slot: Slot, why: string): void {
		clearTimeout(slot.idle);
		this.slots.delete(slot);
		slot.worker.terminate();
		for (const listener of slot.jobs.values()) listener.settle(new Error(why));
		slot.jobs.clear();
	}
}

type Send = (
	message: ToWorker extends infer M ? (M extends unknown ? Omit<M, "job"> : never) : never,
	transfer?: ArrayBuffer[],
) => void;

/** How much may be sent: opens as bytes are taken, and for good when the job has ended. */
class Window {
	closed = false;
	/** The source gave all it had, or failed. */
	drained = false;
	private free = WINDOW;
	private wake = Promise.withResolvers<void>();

	taken(bytes: number): void {
		this.free += bytes;
		this.wake.resolve();
	}

	/** Whether the source needs no clean-up any more. */
	close(): boolean {
		this.closed = true;
		this.wake.resolve();
		return this.drained;
	}

	/** Waits until there is room, then takes it. */
	async enter(bytes: number): Promise<void> {
		while (this.free < bytes && !this.closed) {
			this.wake = Promise.withResolvers<void>();
			await this.wake.promise;
		}
		this.free -= bytes;
	}
}

/** Sends a stream to a job in pieces of its own: what a socket gives is often a slice of a buffer that cannot be transferred. */
async function send(source: AsyncIterator<Uint8Array>, window: Window, job: Send): Promise<void> {
	let piece = new Uint8Array(PIECE);
	let used = 0;
	const flush = async () => {
		await window.enter(used);
		if (!window.closed) job({ piece: piece.subarray(0, used) }, [piece.buffer]);
		piece = new Uint8Array(PIECE);
		used = 0;
	};
	while (!window.closed) {
		const next = await source.next().catch((error: unknown) => {
			window.drained = true;
			throw error;
		});
		if (next.done) {
			window.drained = true;
			if (used > 0) await flush();
			if (!window.closed) job({ end: true });
			return;
		}
		const chunk = next.value;
		for (let at = 0; at < chunk.length; ) {
			const part = chunk.subarray(at, at + PIECE - used);
			piece.set(part, used);
			used += part.length;
			at += part.length;
			if (used === PIECE) await flush();
		}
	}
}
