import { readSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import type { LogFormat } from "../files/format.ts";
import { decodeEntries, lengthAt } from "./decode.ts";
import { LENGTH_BYTES } from "./encode.ts";

const BLOCK_BYTES = 256 * 1024;
/** Longer is no message: lines are cut at 16 KiB. */
const MAX_MESSAGE_BYTES = 1024 * 1024;

/** docker's `local` format: see encode.ts. */
export const localFormat: LogFormat = { decode: decodeEntries, tail: tailOffset };

/** A write that is under way takes no longer than this many looks. */
const LOOKS = 50;

/** From entry to entry, backwards. */
async function tailOffset(file: FileHandle, count: number): Promise<{ offset: number; lines: number }> {
	for (let look = 1; ; look++) {
		const { size } = await file.stat();
		const found = await entriesBefore(file, size, count);
		if (found.whole || look === LOOKS) return found;
		await Bun.sleep(look);
	}
}

/** Not `whole`: what stands before `size` is no end of an entry, because half of it is still to be written. */
async function entriesBefore(file: FileHandle, size: number, count: number) {
	let block = Buffer.allocUnsafe(BLOCK_BYTES);
	let [offset, lines, blockAt] = [size, 0, size];
	/** Makes sure that `block` has the bytes from `at` to `offset`. */
	const load = async (at: number) => {
		if (at >= blockAt) return;
		if (offset - at > block.length) block = Buffer.allocUnsafe(offset - at);
		blockAt = Math.max(0, offset - block.length);
		await file.read(block, 0, offset - blockAt, blockAt);
	};
	while (offset > 0 && lines < count) {
		const lengthAfter = offset - LENGTH_BYTES;
		if (lengthAfter < LENGTH_BYTES) return { offset, lines, whole: false };
		await load(lengthAfter);
		const length = lengthAt(block, lengthAfter - blockAt);
		const start = lengthAfter - length - LENGTH_BYTES;
		if (start < 0 || length > MAX_MESSAGE_BYTES) return { offset, lines, whole: false };
		await load(start);
		if (lengthAt(block, start - blockAt) !== length) return { offset, lines, whole: false };
		offset = start;
		lines++;
	}
	return { offset, lines, whole: true };
}

/** Bytes of the whole entries in a log of `size` bytes: all, unless the machine lost power over one. */
export function wholeLength(fd: number, size: number): number {
	const lengthIn = (at: number) => {
		const bytes = Buffer.alloc(LENGTH_BYTES);
		return at >= 0 && readSync(fd, bytes, 0, LENGTH_BYTES, at) === LENGTH_BYTES ? lengthAt(bytes, 0) : undefined;
	};
	const last = lengthIn(size - LENGTH_BYTES);
	if (last !== undefined && lengthIn(size - last - 2 * LENGTH_BYTES) === last) return size;
	let at = 0;
	for (;;) {
		const length = lengthIn(at);
		if (length === undefined) return at;
		const end = at + length + 2 * LENGTH_BYTES;
		if (end > size || lengthIn(end - LENGTH_BYTES) !== length) return at;
		at = end;
	}
}
