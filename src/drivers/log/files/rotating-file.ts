import { closeSync, fstatSync, ftruncateSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
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
}

/** Written at once on the event loop; more goes by a thread, so that a slow disk holds back only the container that floods. */
const SYNC_BYTES = 64 * 1024;
const DISK_FULL_RETRY_MS = 1000;

/** A file that whole entries are appended to; full, it becomes `path.1`, that one `path.2`, and so on. Output is never dropped. */
export class RotatingFile {
	private fd: number;
	private size: number;
	private pending: Promise<void> | undefined;
	/** Of `path.1`, under way. The next rotation waits for it. */
	private compressing: Promise<void> | undefined;

	/** Opens the file or makes it (0640). Throws when it cannot. */
	constructor(private readonly options: RotatingFileOptions) {
		this.fd = openSync(options.path, "a+", 0o640);
		this.size = fstatSync(this.fd).size;
		const whole = this.size > 0 ? (options.wholeLength?.(this.fd, this.size) ?? this.size) : 0;
		if (whole === this.size) return;
		ftruncateSync(this.fd, whole);
		this.size = whole;
	}

	/** Appends whole entries. A promise when the disk is behind: settled when all before it is written, too. */
	append(data: Buffer): Promise<void> | undefined {
		if (this.pending === undefined && data.length <= SYNC_BYTES) {
			try {
				return this.put(data, writeSync(this.fd, data));
			} catch {
				// the disk is full: the slow way waits for room
			}
		}
		return this.queue(() => this.appendSlowly(data));
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

	/** After a synchronous write: a short one is finished behind. */
	private put(data: Buffer, written: number): Promise<void> | undefined {
		this.size += written;
		if (written < data.length) return this.append(data.subarray(written));
		if (!this.full) return undefined;
		if (this.compressing) return this.queue(() => this.rotate());
		this.rotateNow();
		return undefined;
	}

	private async appendSlowly(data: Buffer): Promise<void> {
		const file = await open(this.options.path, "a");
		try {
			for (let done = 0; done < data.length; ) {
				try {
					const { bytesWritten } = await file.write(data, done);
					done += bytesWritten;
					this.size += bytesWritten;
				} catch {
					// ENOSPC: the container is held back until there is room, as docker does
					await Bun.sleep(DISK_FULL_RETRY_MS);
				}
			}
		} finally {
			await file.close();
		}
		if (this.full) await this.rotate();
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
		closeSync(this.fd);
		// First, because it takes a while for a large one: between the renames and the new file there is no log at `path`.
		for (const ending of ["", ".gz"]) rmSync(`${path}.${maxFiles - 1}${ending}`, { force: true });
		for (let n = maxFiles - 1; n > 0; n--) {
			renameQuietly(n === 1 ? path : `${path}.${n - 1}`, `${path}.${n}`);
			if (n > 1) renameQuietly(`${path}.${n - 1}.gz`, `${path}.${n}.gz`);
		}
		if (maxFiles <= 1) rmSync(path, { force: true });
		this.fd = openSync(path, "a", 0o640);
		this.size = 0;
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
