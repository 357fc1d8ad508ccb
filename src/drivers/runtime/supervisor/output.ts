import type { ProcessIo } from "../driver.ts";
import type { Attachments, OutputStream } from "./attachments.ts";
import { closeQuietly } from "./input.ts";

/** Where a process's output is kept. */
export interface OutputLog {
	/** A promise when the disk is behind: no more of this process's output is read until it settles. */
	write(stream: OutputStream, chunk: Uint8Array): Promise<void> | undefined;
	/** Writes what is left (a last line without newline). */
	close(): Promise<void>;
}

/** After the process has ended, how long someone else may keep its output open. */
const DRAIN_MS = 2_000;

/** Reads a process's output and gives each chunk to its log and its clients, as fast as the slower of them takes it. */
export class ProcessOutput {
	private readonly readers: ReadableStreamDefaultReader<Uint8Array>[] = [];
	private readonly pumps: Promise<void>[] = [];

	constructor(
		private readonly io: ProcessIo,
		private readonly clients: Attachments,
		private readonly log: OutputLog | undefined,
	) {}

	/** @param fd non-blocking, owned from now on */
	read(stream: OutputStream, fd: number): void {
		const reader = Bun.file(fd).stream().getReader() as ReadableStreamDefaultReader<Uint8Array>;
		this.readers.push(reader);
		this.pumps.push(this.pump(stream, reader).finally(() => closeQuietly(fd)));
	}

	/** Everything the ended process wrote is logged and sent; gives up after two seconds when another process holds the output open. */
	async drain(): Promise<void> {
		const timer = setTimeout(() => {
			for (const reader of this.readers) reader.cancel().catch(() => {});
		}, DRAIN_MS);
		await Promise.all(this.pumps);
		clearTimeout(timer);
		await this.log?.close();
	}

	private async pump(stream: OutputStream, reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
		try {
			for (;;) {
				const { done, value } = await reader.read();
				if (done) return;
				const logged = this.log?.write(stream, value);
				const sent = this.clients.write(stream, value, this.io.tty);
				if (logged) await logged;
				if (sent) await sent;
			}
		} catch {
			// EIO: the last process has closed the terminal
		}
	}
}
