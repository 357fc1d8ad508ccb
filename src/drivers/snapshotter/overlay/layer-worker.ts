import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { createGzip } from "node:zlib";
import { messageOf } from "../../../shared/errors.ts";
import { lowerThreadPriority } from "../../../sys/linux/thread-priority.ts";
import { archiveCopy } from "../build/copy-archive.ts";
import { archiveChanges, archiveRoot } from "./archive.ts";
import { assembleLayer } from "./assemble.ts";
import { changesOf } from "./changes.ts";
import type { FromWorker, LayerResult, LayerTask, ToWorker } from "./layer-protocol.ts";
import { readable } from "./tar-reader.ts";
import { measurePieces, unpackLayer } from "./unpack.ts";

/** Runs in a Worker: any number of jobs at once, each a task that reads or gives a stream. */
declare const self: Worker;

/** Docker pushes with Go's default level; 4 is as small within 1 %, and a tenth faster. The same input gives the same bytes: no name, no time. */
const GZIP_LEVEL = 4;
const PIECE = 1024 * 1024;

/** One job's side of the conversation. */
class Job {
	private readonly pieces: Uint8Array[] = [];
	private ended = false;
	private aborted = false;
	private credits = 0;
	private wake = Promise.withResolvers<void>();

	constructor(private readonly id: number) {}

	take(message: ToWorker): void {
		if ("piece" in message) this.pieces.push(message.piece);
		else if ("end" in message) this.ended = true;
		else if ("abort" in message) this.aborted = true;
		else if ("credit" in message) this.credits += message.credit;
		this.wake.resolve();
	}

	/** The stream that comes in. Telling what is taken lets the other side send more. */
	async *body(): AsyncGenerator<Uint8Array> {
		for (;;) {
			const piece = this.pieces.shift();
			if (this.aborted) throw new Error("given up");
			if (piece) {
				yield piece;
				this.send({ taken: piece.length });
			} else if (this.ended) return;
			else await this.news();
		}
	}

	/** Sends pieces, whose buffers are given away, as fast as they are taken; returns digest and size of them all. */
	async give(pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<{ digest: string; size: number }> {
		const hash = createHash("sha256");
		let size = 0;
		for await (const piece of pieces) {
			hash.update(piece);
			size += piece.length;
			while (this.credits === 0 && !this.aborted) await this.news();
			if (this.aborted) throw new Error("given up");
			this.credits--;
			this.send({ piece });
		}
		return { digest: `sha256:${hash.digest("hex")}`, size };
	}

	/** Lets messages of other jobs in, and this job's abort: for long work that sends nothing. */
	async breathe(): Promise<void> {
		await new Promise((resolve) => setTimeout(resolve, 0));
		if (this.aborted) throw new Error("given up");
	}

	send(message: FromWorker extends infer M ? (M extends unknown ? Omit<M, "job"> : never) : never): void {
		const piece = "piece" in message ? (message.piece as Uint8Array<ArrayBuffer>) : undefined;
		self.postMessage({ job: this.id, ...message }, piece ? [piece.buffer] : []);
	}

	private async news(): Promise<void> {
		this.wake = Promise.withResolvers<void>();
		await this.wake.promise;
	}
}

/** zlib goes on using the buffers that its pieces lie in. */
async function* copies(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
	for await (const piece of pieces) yield new Uint8Array(piece);
}

/** Bulk work waits for requests that are answered meanwhile. */
const NICE = 10;
lowerThreadPriority(NICE);

const jobs = new Map<number, Job>();

self.onmessage = async (event: MessageEvent<ToWorker>) => {
	const message = event.data;
	if (!("task" in message)) {
		jobs.get(message.job)?.take(message);
		return;
	}
	const job = new Job(message.job);
	jobs.set(message.job, job);
	try {
		job.send({ result: await run(message.task, job) });
	} catch (error) {
		job.send({ error: messageOf(error) });
	} finally {
		jobs.delete(message.job);
	}
};

async function run(task: LayerTask, job: Job): Promise<LayerResult> {
	switch (task.do) {
		case "unpack":
			return { unpacked: await unpackLayer(task.request, task.streamed ? job.body() : undefined) };
		case "measure":
			return { summary: await measurePieces(task.request, task.streamed ? job.body() : undefined) };
		case "assemble": {
			const tar = assembleLayer(task.request);
			if (task.compression === "none") return { summary: await job.give(tar) };
			const source = Readable.from(tar, { objectMode: false, highWaterMark: PIECE });
			const gzip = createGzip({ level: GZIP_LEVEL, chunkSize: PIECE / 4 });
			source.on("error", (error) => gzip.destroy(error));
			try {
				return { summary: await job.give(copies(source.pipe(gzip))) };
			} finally {
				source.destroy();
				gzip.destroy();
			}
		}
		case "verify":
			for (const _ of assembleLayer(task.request)) await job.breathe();
			return {};
		case "changes": {
			const changes = [...changesOf(task.snapshot)].map(({ path, kind }) => ({ path: readable(path), kind }));
			return { changes: changes.sort((a, b) => (a.path < b.path ? -1 : 1)) };
		}
		case "archive-changes":
			return { summary: await job.give(archiveChanges(task.snapshot)) };
		case "archive-copy":
			return { summary: await job.give(archiveCopy(task.copy)) };
		case "archive-root":
			return { summary: await job.give(archiveRoot(task.snapshot)) };
	}
}
