import { frame, STDERR, STDOUT } from "../../../shared/stdcopy.ts";
import type { AttachStreams } from "../driver.ts";

export type OutputStream = "stdout" | "stderr";

/** The part of a Bun socket that is used here. */
export interface ByteSocket {
	/** Bytes taken; the rest is offered again after `drain`. Negative once closed. */
	write(data: Uint8Array): number;
	/** shutdown(2) of the sending side. Bun's end() closes both, and a client whose input was not read yet gets ECONNRESET in place of output. */
	shutdown(): unknown;
	resume(): unknown;
	terminate(): unknown;
}

/** Above this a client holds its own process's output back. */
const HIGH_WATER = 1024 * 1024;
/** A client that takes no byte for so long while it holds output back is dropped: its process and the log must go on. */
const STALL_MS = 60_000;
/** A client that has got everything may still send stdin; after this it is cut. */
const LINGER_MS = 5_000;

/** One attached client: what it was not yet able to take is queued here. */
export class AttachedClient {
	private readonly queue: Uint8Array[] = [];
	private queued = 0;
	private ending = false;
	private finished = false;
	private closed = false;
	private progressAt = 0;
	/** While it is full: what both of its streams wait for. */
	private full: Promise<void> | undefined;
	private wake: (() => void) | undefined;

	constructor(
		private readonly socket: ByteSocket,
		readonly streams: AttachStreams,
		private readonly stallMs = STALL_MS,
	) {}

	/** Sends or queues; a promise when the client is full, settled once it has room, is gone or was dropped. */
	send(data: Uint8Array): Promise<void> | undefined {
		if (this.closed) return undefined;
		const sent = this.queue.length === 0 ? this.write(data) : 0;
		if (sent === data.length) return undefined;
		if (this.queue.length === 0) this.progressAt = performance.now();
		this.queue.push(data.subarray(sent));
		this.queued += data.length - sent;
		if (this.queued <= HIGH_WATER) return undefined;
		this.full ??= this.room();
		return this.full;
	}

	/** The socket has room again. */
	drain(): void {
		for (let head = this.queue[0]; head; head = this.queue[0]) {
			const sent = this.write(head);
			this.queued -= sent;
			if (sent > 0) this.progressAt = performance.now();
			if (sent < head.length) {
				this.queue[0] = head.subarray(sent);
				break;
			}
			this.queue.shift();
		}
		if (this.queued <= HIGH_WATER) this.wake?.();
		if (this.ending && this.queue.length === 0) this.finish();
	}

	/** No more output: ends the stream once all is sent. */
	end(): void {
		this.ending = true;
		if (this.queue.length === 0) this.finish();
	}

	/** The connection is gone. */
	close(): void {
		this.closed = true;
		this.queue.length = 0;
		this.queued = 0;
		this.wake?.();
	}

	private write(data: Uint8Array): number {
		return Math.max(0, this.socket.write(data));
	}

	/** All output has been sent: what the client still sends is read and thrown away. */
	get over(): boolean {
		return this.finished;
	}

	private finish(): void {
		if (this.closed || this.finished) return;
		this.finished = true;
		this.socket.shutdown();
		this.socket.resume();
		setTimeout(() => this.closed || this.socket.terminate(), LINGER_MS).unref();
	}

	private room(): Promise<void> {
		return new Promise((resolve) => {
			const check = setInterval(() => {
				if (performance.now() - this.progressAt < this.stallMs) return;
				this.socket.terminate();
				this.close();
			}, this.stallMs / 4);
			this.wake = () => {
				clearInterval(check);
				this.wake = undefined;
				this.full = undefined;
				resolve();
			};
		});
	}
}

/** All clients of one process. */
export class Attachments {
	private readonly clients = new Set<AttachedClient>();

	get size(): number {
		return this.clients.size;
	}

	add(client: AttachedClient): void {
		this.clients.add(client);
	}

	remove(client: AttachedClient): void {
		this.clients.delete(client);
		client.close();
	}

	/** Gives a chunk to every client that wants the stream. A promise when one is full. */
	write(stream: OutputStream, chunk: Uint8Array, raw: boolean): Promise<unknown> | undefined {
		let data: Uint8Array | undefined;
		let full: Promise<void>[] | undefined;
		for (const client of this.clients) {
			if (!client.streams[stream]) continue;
			data ??= raw ? chunk : frame(stream === "stdout" ? STDOUT : STDERR, chunk);
			const wait = client.send(data);
			if (wait) full = [...(full ?? []), wait];
		}
		return full && Promise.all(full);
	}

	end(): void {
		for (const client of this.clients) client.end();
	}
}
