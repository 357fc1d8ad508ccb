import { workerEntry } from "../../../shared/worker-entry.ts";
import type { FileDigest } from "../build/file-digests.ts";
import { PieceBuffer } from "../overlay/piece-buffer.ts";
import { TarReader } from "../overlay/tar-reader.ts";
import { decompress } from "./decompress.ts";
import { TreeWriter, type WriteOptions } from "./tree-writer.ts";

export interface UnpackTarget {
	/** O_PATH fd of the container's root; kept open by the caller until the unpacking is over. */
	readonly root: number;
	/** A directory in it, as a byte string. */
	readonly destination: string;
	readonly options: WriteOptions;
}

/** Bytes that are unpacked right here: 512 entries at the most, a few milliseconds. A Worker costs more than that. */
const SMALL = 256 * 1024;
/** Pieces of 1 MiB on their way to the Worker. Chunks as they come from a socket would cost more to hand over than to unpack. */
const WINDOW = 3;

/**
 * Unpacks a tar, in whatever compression, below a directory of a container. What was written before a failure stays. With `onDigests` the files of
 * a large one are hashed on their way.
 */
export async function unpack(
	target: UnpackTarget,
	body: AsyncIterable<Uint8Array>,
	onDigests?: (found: readonly FileDigest[]) => void,
): Promise<void> {
	const chunks = decompress(body);
	try {
		const head: Uint8Array[] = [];
		let size = 0;
		while (size <= SMALL) {
			const { done, value } = await chunks.next();
			if (done) return unpackHere(target, head);
			head.push(value);
			size += value.length;
		}
		await unpackInWorker(target, head, chunks, onDigests);
	} finally {
		await chunks.return(undefined);
	}
}

function unpackHere(target: UnpackTarget, chunks: readonly Uint8Array[]): void {
	using writer = new TreeWriter(target.root, target.destination, target.options);
	const tar = new TarReader(writer);
	for (const chunk of chunks) tar.push(asBuffer(chunk));
	finishTar(tar, writer);
}

/** A cut tar is an error in Go's words; bytes that never were one likewise. */
export function finishTar(tar: TarReader, writer: TreeWriter): void {
	try {
		tar.end();
	} catch (cause) {
		throw new Error("unexpected EOF", { cause });
	}
	writer.complete();
}

export function asBuffer(chunk: Uint8Array): Buffer {
	return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

/** What the Worker is told: first the target, then chunks, then the end. Each chunk, and the end, is answered. */
export type UnpackMessage =
	| { readonly target: UnpackTarget; readonly hash: boolean }
	| { readonly chunk: Uint8Array }
	| { readonly end: true };
export type UnpackAnswer =
	| { readonly done: boolean; readonly digests?: readonly FileDigest[] }
	| { readonly error: string };

async function unpackInWorker(
	target: UnpackTarget,
	head: Uint8Array[],
	rest: AsyncIterable<Uint8Array>,
	onDigests?: (found: readonly FileDigest[]) => void,
) {
	const worker = new Worker(workerEntry("src/drivers/snapshotter/views/unpack-worker.ts"));
	const tell = (message: UnpackMessage, transfer: ArrayBuffer[] = []) => worker.postMessage(message, transfer);
	let unanswered = 0;
	let wake = () => {};
	let failure: Error | undefined;
	const fail = (error: Error) => {
		failure ??= error;
		wake();
	};
	worker.onmessage = ({ data }: MessageEvent<UnpackAnswer>) => {
		if ("error" in data) return fail(new Error(data.error));
		unanswered--;
		if (data.digests) onDigests?.(data.digests);
		wake();
	};
	worker.onerror = (event) => fail(new Error(`unpack worker failed: ${event.message}`));
	const room = async (limit: number) => {
		while (unanswered > limit && !failure) {
			const { promise, resolve } = Promise.withResolvers<void>();
			wake = resolve;
			await promise;
		}
		if (failure) throw failure;
	};
	const pieces = new PieceBuffer();
	const send = async (full: Iterable<Uint8Array<ArrayBuffer>>) => {
		for (const chunk of full) {
			await room(WINDOW);
			unanswered++;
			tell({ chunk }, [chunk.buffer]);
		}
	};
	try {
		tell({ target, hash: onDigests !== undefined });
		for (const chunk of head) await send(pieces.add(chunk));
		for await (const chunk of rest) await send(pieces.add(chunk));
		await send(pieces.rest());
		unanswered++;
		tell({ end: true });
		await room(0);
	} finally {
		worker.terminate();
	}
}
