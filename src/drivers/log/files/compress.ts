import { createReadStream, createWriteStream, renameSync, rmSync, statSync } from "node:fs";
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createGunzip, createGzip } from "node:zlib";

/**
 * `FILE` becomes `FILE.gz`. In front stands an empty gzip member whose comment holds the inode that the file had: by it a reader that follows
 * finds where in the row of files it was. gunzip and zcat see only the content.
 */
export async function compressLog(file: string): Promise<void> {
	const { ino } = await stat(file);
	const draft = `${file}.gz.${ino}.tmp`;
	try {
		const out = createWriteStream(draft, { mode: 0o640 });
		out.write(memberOf(ino));
		await pipeline(
			createReadStream(file, { highWaterMark: CHUNK_BYTES }),
			createGzip({ level: constants.Z_BEST_SPEED, chunkSize: CHUNK_BYTES }),
			out,
		);
		// Without a pause in between, so that no rotation comes into it; one that came before has moved the file on, and it stays as it is.
		if (statSync(file).ino !== ino) return await rm(draft, { force: true });
		renameSync(draft, `${file}.gz`);
		rmSync(file);
	} catch (error) {
		await rm(draft, { force: true });
		throw error;
	}
}

/** RFC 1952: ID1 ID2 CM FLG(FCOMMENT) MTIME(4) XFL OS comment NUL, an empty deflate block, CRC32 and length of nothing. */
function memberOf(inode: number): Buffer {
	const head = Buffer.from([0x1f, 0x8b, 8, 0x10, 0, 0, 0, 0, 0, 255]);
	const end = Buffer.from([0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
	return Buffer.concat([head, Buffer.from(`${COMMENT}${String(inode).padStart(DIGITS, "0")}`), end]);
}

/** Handed over at once: with the usual 16 KiB that costs more than the compression. */
const CHUNK_BYTES = 512 * 1024;
const COMMENT = "inode=";
const DIGITS = 20;
const MEMBER_BYTES = 10 + COMMENT.length + DIGITS + 11;

/** The inode that a compressed log had before; undefined when it is not of our making. */
export async function inodeBefore(file: FileHandle): Promise<number | undefined> {
	const head = Buffer.alloc(MEMBER_BYTES);
	await file.read(head, 0, head.length, 0);
	const text = head.toString("latin1", 10, 10 + COMMENT.length + DIGITS);
	return text.startsWith(COMMENT) ? Number(text.slice(COMMENT.length)) : undefined;
}

/** A compressed log's content as a file without a name, below the directory of `near`. The given one stays open. */
export async function inflated(file: FileHandle, near: string): Promise<FileHandle> {
	const draft = `${near}.${process.pid}.${crypto.randomUUID()}.tmp`;
	const start = (await inodeBefore(file)) === undefined ? 0 : MEMBER_BYTES;
	const result = await open(draft, "wx+", 0o600);
	try {
		await rm(draft);
		await pipeline(blocksOf(file, start), createGunzip({ chunkSize: CHUNK_BYTES }), async (content) => {
			for await (const block of content as Readable) await result.write(block as Buffer);
		});
		return result;
	} catch (error) {
		await result.close();
		throw error;
	}
}

async function* blocksOf(file: FileHandle, start: number): AsyncGenerator<Buffer> {
	for (let at = start; ; ) {
		const block = Buffer.allocUnsafe(256 * 1024);
		const { bytesRead } = await file.read(block, 0, block.length, at);
		if (bytesRead === 0) return;
		at += bytesRead;
		yield block.subarray(0, bytesRead);
	}
}
