/** Docker's multiplexed stream: an 8-byte header (stream, 0, 0, 0, big-endian length) before each payload. */
export const STDIN = 0;
export const STDOUT = 1;
export const STDERR = 2;

export const FRAME_HEADER_BYTES = 8;

export type StdStream = typeof STDOUT | typeof STDERR;

/** One frame: header and a copy of the payload. */
export function frame(stream: StdStream, payload: Uint8Array): Uint8Array {
	const out = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
	writeFrameHeader(out, 0, stream, payload.length);
	out.set(payload, FRAME_HEADER_BYTES);
	return out;
}

/** Puts a header at `at` into a buffer that has room for it. */
export function writeFrameHeader(out: Buffer, at: number, stream: StdStream, length: number): void {
	out.writeUInt32BE(stream * 2 ** 24, at);
	out.writeUInt32BE(length, at + 4);
}
