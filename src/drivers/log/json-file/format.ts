import type { FileHandle } from "node:fs/promises";
import type { LogFormat } from "../files/format.ts";
import { decodeLines } from "./decode.ts";

const NEWLINE = 10;

/** A JSON text a line. */
export const jsonFileFormat: LogFormat = {
	decode(block, wanted) {
		const used = block.lastIndexOf(NEWLINE) + 1;
		return { out: used > 0 ? decodeLines(block.toString("utf8", 0, used), wanted) : [], used };
	},
	tail: tailOffset,
};

/** Reads backwards. */
async function tailOffset(file: FileHandle, count: number): Promise<{ offset: number; lines: number }> {
	const { size } = await file.stat();
	if (count <= 0) return { offset: size, lines: 0 };
	const block = Buffer.allocUnsafe(64 * 1024);
	let lines = 0;
	for (let end = size; end > 0; ) {
		const start = Math.max(0, end - block.length);
		const { bytesRead } = await file.read(block, 0, end - start, start);
		for (let at = bytesRead - 1; at >= 0; at--) {
			at = block.lastIndexOf(NEWLINE, at);
			if (at < 0) break;
			// The newline at the very end closes the last line; each one before it begins a line.
			if (start + at + 1 === size) continue;
			if (++lines === count) return { offset: start + at + 1, lines };
		}
		end = start;
	}
	return { offset: 0, lines: size > 0 ? lines + 1 : 0 };
}
