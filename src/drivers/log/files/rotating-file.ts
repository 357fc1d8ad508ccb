import { closeSync, fstatSync, ftruncateSync, openSync, renameSync, rmSync, write, writeSync } from "node:fs";
import { promisify } from "node:util";
import { compressLog } from "./compress.ts";

export interface RotatingFileOptions {
	readonly path: string;
	/** Bytes after which the file is rotated; 0: never. */
	readonly maxSize: number;
	/** Files kept, the current one included. */
	readonly maxFiles: number;
	readonly compress?: boolean;
	/** Length of the whole entries in a file that was there before: the rest, of a machine that lost power, is cut off. */
	readonly wholeLength?: (fd: number, size: number) => number;
	/** Some could not be written, or the file not rotated; told once a minute at most. */
	readonly onLost?: (error: unknown) => void;
}

/** More, as floods bring, goes by a thread in any case: written on the event loop they would hold up what other containers ask for by the second. */
const SYNC_BYTES = 64 * 1024;
/** A write that took longer has met a slow disk: for a while it is written by a thread, so that only the container that floods is held back. */
const SLOW_MS = 20;
const SLOW_FOR_MS = 1000;
const TELL_EVERY_MS = 60_000;

const writeBehind = promisify(write);

/** A file that whole entries are appended to; full, it becomes `path.1`, that one `path.2`, and so on. What cannot be written (the disk is full) is lost, as with docker. */
export class RotatingFile {
	private fd: number;
	private size: number;
	private pending: Promise<void> | undefined;
	/** Of `path.1`, under way. The next rotation waits for it. */
	private compressing: Promise<void> | undefined;
	/** On the clock of `performance`. */
	private slowUntil = 0;
	private toldAt = Number.NEGATIVE_INFINITY;

	/** Opens the file or makes it (0640). Throws when it cannot. */
	constructor(private readonly options: RotatingFileOptions) {
		this.fd = openSync(options.path, "a+", 0o640);
		this.size = fstatSync(this.fd).size;
		const whole = this.size > 0 ? (options.wholeLength?.(this.fd, this.size) ?? this.size) : 0;
		if (whole === this.size) return;
		ftruncateSync(this.fd, whole);
		this.size = whole;
	}

	/** Appends whole entries; `data` is the caller's again. A promise when the disk is behind: settled when all before it is written, too. */
	append(data: Uint8Array): Promise<void> | undefined {
		const begin = performance.now();
		if (this.pending !== undefined || data.length > SYNC_BYTES || begin < this.slowUntil) {
			const copy = data.slice();
			return this.queue(() => this.appendBehind(copy));
		}
		this.write(data);
		const end = performance.now();
		if (end - begin > SLOW_MS) this.slowUntil = end + SLOW_FOR_MS;
		if (!this.full) return undefined;
		if (this.compressing) return this.queue(() => this.rotate());
		this.rotateNow();
		return undefined;
	}

	/** Settles when all is written; undefined when it is. */
	get behind(): Promise<void> | undefined {
		return this.pending;
	}

	/** Compression goes on behind: nobody waits for it to learn that a container has ended. */
	async close(): Promise<void> {
		await this.pending;
		closeSync(this.fd);
	}

	private queue(work: () => Promise<void>): Promise<void> {
		const previous = this.pending ?? Promise.resolve();
		const mine: Promise<void> = previous.then(work).finally(() => {
			if (this.pending === mine) this.pending = undefined;
		});
		this.pending = mine;
		return mine;
	}

	private write(data: Uint8Array): void {
		try {
			for (let done = 0; done < data.length; ) done += writeSync(this.fd, data, done);
			this.size += data.length;
		} catch (error) {
			this.lost(error);
		}
	}

	private async appendBehind(data: Uint8Array): Promise<void> {
		try {
			for (let done = 0; done < data.length; ) {
				done += (await writeBehind(this.fd, data, done, data.length - done, null)).bytesWritten;
			}
			this.size += data.length;
		} catch (error) {
			this.lost(error);
		}
		if (this.full) await this.rotate();
	}

	/** What was written of the entries goes, too: half of one would spoil the file for readers. */
	private lost(error: unknown): void {
		try {
			// Shorter is one that someone else has cut.
			if (fstatSync(this.fd).size > this.size) ftruncateSync(this.fd, this.size);
		} catch {
			// a file system that has become read-only
		}
		this.tell(error);
	}

	private tell(error: unknown): void {
		const now = performance.now();
		if (now - this.toldAt < TELL_EVERY_MS) return;
		this.toldAt = now;
		this.options.onLost?.(error);
	}

	private get full(): boolean {
		return this.options.maxSize > 0 && this.size >= this.options.maxSize;
	}

	private async rotate(): Promise<void> {
		await this.compressing;
		this.rotateNow();
	}

	/** path -> path.1 -> path.2 ...; the oldest goes. Only between entries, and while nothing is compressed. */
	private rotateNow(): void {
		const { path, maxFiles, compress } = this.options;
		this.size = 0;
		// First, because it takes a while for a large one: between the renames and the new file there is no log at `path`.
		for (const ending of ["", ".gz"]) rmSync(`${path}.${maxFiles - 1}${ending}`, { force: true });
		for (let n = maxFiles - 1; n > 0; n--) {
			renameQuietly(n === 1 ? path : `${path}.${n - 1}`, `${path}.${n}`);
			if (n > 1) renameQuietly(`${path}.${n - 1}.gz`, `${path}.${n}.gz`);
		}
		if (maxFiles <= 1) rmSync(path, { force: true });
		try {
			const fd = openSync(path, "a", 0o640);
			closeSync(this.fd);
			this.fd = fd;
		} catch (error) {
			// Nothing is lost: the old file goes on.
			this.tell(error);
			return;
		}
		if (!compress || maxFiles <= 1) return;
		// One that fails stays as it is: it is read all the same.
		this.compressing = compressLog(`${path}.1`)
			.catch(() => {})
			.finally(() => {
				this.compressing = undefined;
			});
	}
}

function renameQuietly(from: string, to: string): void {
	try {
		renameSync(from, to);
	} catch {
		// not that many files yet
	}
}
