import { closeSync } from "node:fs";
import { writeTerminal } from "../../../sys/linux/console-socket.ts";

/** A terminal that is full is tried again after so long, and after ever longer. */
const SHORTEST_WAIT_MS = 1;
const LONGEST_WAIT_MS = 64;

/** A process's stdin: chunks wait until it is opened (the process starts) and then until the process takes them. */
export class ProcessInput {
	private fd: number | undefined;
	private sink: Bun.FileSink | undefined;
	private done = false;
	private isTerminal = false;
	private tail: Promise<void>;
	private opened: () => void = () => {};

	constructor() {
		this.tail = new Promise((resolve) => {
			this.opened = resolve;
		});
	}

	/** @param fd non-blocking, owned from now on; undefined: the process has no stdin, everything is thrown away */
	open(fd: number | undefined, isTerminal = false): void {
		this.fd = fd;
		this.isTerminal = isTerminal;
		if (fd === undefined) this.done = true;
		this.opened();
	}

	/** Settles when the process (or its pipe) has taken the chunk, or never will. The caller sends no more until then. */
	write(chunk: Uint8Array): Promise<void> {
		this.tail = this.tail.then(() => this.pass(chunk));
		return this.tail;
	}

	/** End of file after what was written before. */
	end(): void {
		this.tail = this.tail.then(() => this.close());
	}

	/** The process is gone: closes at once. */
	close(): void {
		this.done = true;
		this.opened();
		const { fd, sink } = this;
		this.fd = undefined;
		this.sink = undefined;
		if (fd === undefined) return;
		Promise.resolve(sink?.end())
			.catch(() => {})
			.finally(() => closeQuietly(fd));
	}

	private async pass(chunk: Uint8Array): Promise<void> {
		if (this.done || this.fd === undefined) return;
		try {
			if (this.isTerminal) return await this.type(chunk);
			this.sink ??= Bun.file(this.fd).writer();
			this.sink.write(chunk);
			await this.sink.flush();
		} catch {
			// EPIPE: the process has closed its stdin
			this.close();
		}
	}

	/** Not by Bun's sink: it makes terminals blocking, and one whose program reads nothing would hold up all of us. */
	private async type(chunk: Uint8Array): Promise<void> {
		let wait = SHORTEST_WAIT_MS;
		for (let done = 0; done < chunk.length && this.fd !== undefined; ) {
			const taken = writeTerminal(this.fd, chunk.subarray(done));
			done += taken;
			wait = taken > 0 ? SHORTEST_WAIT_MS : Math.min(wait * 2, LONGEST_WAIT_MS);
			if (done < chunk.length) await Bun.sleep(wait);
		}
	}
}

/** Closes an fd that Bun may have closed already. */
export function closeQuietly(fd: number): void {
	try {
		closeSync(fd);
	} catch {
		// EBADF: closed with its stream
	}
}
