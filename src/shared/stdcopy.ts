/** Docker's multiplexed stream: an 8-byte header (stream, 0, 0, 0, big-endian length) before each payload. */
export const STDIN = 0;
export const STDOUT = 1;
export const STDERR = 2;

export type StdStream = typeof STDOUT | typeof STDERR;

/** One frame: header and a copy of the payload. */
export function frame(stream: StdStream, payload: Uint8Array): Uint8Array {
	const out = new Uint8Array(8 + payload.length);
	writeHeader(out, stream, payload.length);
	out.set(payload, 8);
	return out;
}

/** Just the header, for writers that send the payload apart. */
export function frameHeader(stream: StdStream, length: number): Uint8Array {
	const out = new Uint8Array(8);
	writeHeader(out, stream, length);
	return out;
}

function writeHeader(out: Uint8Array, stream: StdStream, length: number): void {
	out[0] = stream;
	new DataView(out.buffer, out.byteOffset).setUint32(4, length);
}
