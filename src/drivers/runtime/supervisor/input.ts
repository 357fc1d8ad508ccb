import { closeSync } from "node:fs";

/** A process's stdin: chunks wait until it is opened (the process starts) and then until the process takes them. */
export class ProcessInput {
	private fd: number | undefined;
	private sink: Bun.FileSink | undefined;
	private done = false;
	private tail: Promise<void>;
	private opened: () => void = () => {};

	constructor() {
		this.tail = new Promise((resolve) => {
			this.opened = resolve;
		});
	}

	/** @param fd non-blocking, owned from now on; undefined: the process has no stdin, everything is thrown away */
	open(fd: number | undefined): void {
		this.fd = fd;
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
			this.sink ??= Bun.file(this.fd).writer();
			this.sink.write(chunk);
			await this.sink.flush();
		} catch {
			// EPIPE: the process has closed its stdin
			this.close();
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
