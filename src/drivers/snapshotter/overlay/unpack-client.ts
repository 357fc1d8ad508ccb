import { workerEntry } from "../../../shared/worker-entry.ts";
import type { UnpackRequest } from "./unpack.ts";

interface Waiting {
	resolve(value: { size: number }): void;
	reject(error: Error): void;
}

const IDLE_MS = 5000;

/** Unpacks in one Worker, which starts with the first layer and ends when idle: it costs memory only while it works. */
export class UnpackClient implements Disposable {
	private worker: Worker | undefined;
	private idle: Timer | undefined;
	private next = 1;
	private readonly waiting = new Map<number, Waiting>();

	unpack(request: UnpackRequest): Promise<{ size: number }> {
		clearTimeout(this.idle);
		this.worker ??= this.start();
		const worker = this.worker;
		const job = this.next++;
		const result = new Promise<{ size: number }>((resolve, reject) => this.waiting.set(job, { resolve, reject }));
		worker.postMessage({ job, request });
		return result;
	}

	[Symbol.dispose](): void {
		clearTimeout(this.idle);
		this.worker?.terminate();
		this.worker = undefined;
	}

	private start(): Worker {
		const worker = new Worker(workerEntry("src/drivers/snapshotter/overlay/unpack-worker.ts"));
		worker.onmessage = (event: MessageEvent<{ job: number; size: number; error?: string }>) => {
			const { job, size, error } = event.data;
			const waiting = this.waiting.get(job);
			this.waiting.delete(job);
			if (error === undefined) waiting?.resolve({ size });
			else waiting?.reject(new Error(error));
			if (this.waiting.size === 0) this.rest();
		};
		worker.onerror = (event) => {
			for (const waiting of this.waiting.values()) waiting.reject(new Error(`unpack worker failed: ${event.message}`));
			this.waiting.clear();
			this[Symbol.dispose]();
		};
		return worker;
	}

	private rest(): void {
		this.idle = setTimeout(() => this[Symbol.dispose](), IDLE_MS);
		this.idle.unref();
	}
}
