import * as fs from "node:fs";

const PIECE = 1024 * 1024;

/** Collects bytes into pieces of 1 MiB, each its own buffer, so that it can be transferred. */
export class PieceBuffer {
	private piece = emptyPiece();
	private used = 0;

	*add(bytes: Uint8Array): Generator<Uint8Array<ArrayBuffer>> {
		for (let at = 0; at < bytes.length; ) {
			const part = bytes.subarray(at, at + PIECE - this.used);
			this.piece.set(part, this.used);
			this.used += part.length;
			at += part.length;
			if (this.used === PIECE) yield this.take();
		}
	}

	/** `size` bytes from where the fd stands. Throws when the file is shorter. */
	*addFile(fd: number, size: number): Generator<Uint8Array<ArrayBuffer>> {
		for (let left = size; left > 0; ) {
			const read = fs.readSync(fd, this.piece, this.used, Math.min(left, PIECE - this.used), null);
			if (read === 0) throw new Error(`a file became ${left} bytes shorter while it was read`);
			this.used += read;
			left -= read;
			if (this.used === PIECE) yield this.take();
		}
	}

	*rest(): Generator<Uint8Array<ArrayBuffer>> {
		if (this.used > 0) yield this.take();
	}

	private take(): Uint8Array<ArrayBuffer> {
		const full = this.piece.subarray(0, this.used);
		this.piece = emptyPiece();
		this.used = 0;
		return full;
	}
}

/** Of a buffer that is not cleared first: every byte that goes on has been written. */
function emptyPiece(): Uint8Array<ArrayBuffer> {
	const { buffer } = Buffer.allocUnsafeSlow(PIECE);
	return new Uint8Array(buffer);
}
