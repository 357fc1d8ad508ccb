import { type FileHandle, open, readdir } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { inflated, inodeBefore } from "./compress.ts";

/** One file of a log, held open: what becomes of its name does not matter. */
export class LogFile {
	constructor(
		private handle: FileHandle,
		private readonly near: string,
		/** The file's own, also of one that was compressed since. */
		readonly inode: number | undefined,
		private compressed: boolean,
	) {}

	/** To read from; unpacks a compressed one the first time. */
	async content(): Promise<FileHandle> {
		if (this.compressed) {
			const packed = this.handle;
			this.handle = await inflated(packed, this.near);
			this.compressed = false;
			await packed.close();
		}
		return this.handle;
	}

	close(): Promise<void> {
		return this.handle.close();
	}
}

/** All files of a log, oldest first, the current one last (when there is one), as they were at one moment. The caller closes them. */
export async function openRow(path: string): Promise<LogFile[]> {
	for (;;) {
		const current = await openFile(path, path);
		const files = current ? [current] : [];
		for (let n = 1; ; n++) {
			const older = (await openFile(`${path}.${n}`, path)) ?? (await openFile(`${path}.${n}.gz`, path, true));
			if (older) files.unshift(older);
			else if (!(await olderThan(path, n))) break;
		}
		if (current === undefined || !(await isRotated(current, path))) return files;
		await closeAll(files);
	}
}

/** The files that came after `file` (held open by the caller, so that no other has its inode), as openRow; undefined: it is the current one. */
export async function openNewer(file: LogFile, path: string): Promise<LogFile[] | undefined> {
	if (!(await isRotated(file, path))) return undefined;
	const row = await openRow(path);
	const at = row.findLastIndex(({ inode }) => inode === file.inode);
	// Rotated away altogether: all that is left is newer.
	await closeAll(row.slice(0, at + 1));
	const newer = row.slice(at + 1);
	return newer.length > 0 ? newer : undefined;
}

export async function closeAll(files: readonly LogFile[]): Promise<void> {
	await Promise.all(files.map((file) => file.close()));
}

/** Names of the log and its rotated files. */
export async function filesOf(path: string): Promise<string[]> {
	const name = basename(path);
	const names = await readdir(dirname(path)).catch(() => []);
	return names
		.filter(
			(one) =>
				one === name || (one.startsWith(`${name}.`) && /^\d+(\.gz(\.\d+\.tmp)?)?$/.test(one.slice(name.length + 1))),
		)
		.map((one) => `${dirname(path)}/${one}`);
}

/** A gap in the row: a rename came between, or a file was removed by hand. */
async function olderThan(path: string, n: number): Promise<boolean> {
	const numbers = (await filesOf(path)).map((file) => Number.parseInt(file.slice(path.length + 1), 10));
	return numbers.some((one) => one > n);
}

async function isRotated(file: LogFile, path: string): Promise<boolean> {
	const current = await openFile(path, path);
	if (!current) return false;
	await current.close();
	return current.inode !== file.inode;
}

async function openFile(name: string, near: string, compressed = false): Promise<LogFile | undefined> {
	try {
		const handle = await open(name, "r");
		const inode = compressed ? await inodeBefore(handle) : (await handle.stat()).ino;
		return new LogFile(handle, near, inode, compressed);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw error;
	}
}
