import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { O_DIRECTORY, O_PATH, openInRoot } from "../../../sys/linux/openat2.ts";
import { PieceBuffer } from "./piece-buffer.ts";
import { readSkeleton } from "./skeleton.ts";
import { readable } from "./tar-reader.ts";

export interface AssembleRequest {
	readonly directory: string;
	readonly recipe: string;
	/** What the tar's sha256 must be. */
	readonly diffId: string;
}

/**
 * A layer's tar from its files and its recipe, in pieces of up to 1 MiB that the taker may keep. Synchronous, for a Worker.
 * Throws when the files are not as they were unpacked: in the middle when one is missing or has another size, else after the last piece.
 */
export function* assembleLayer(request: AssembleRequest): Generator<Uint8Array<ArrayBuffer>> {
	const hash = createHash("sha256");
	const roots = {
		layer: fs.openSync(request.directory, O_PATH | O_DIRECTORY),
		recipe: fs.openSync(request.recipe, O_PATH | O_DIRECTORY),
	};
	const hashed = function* (pieces: Iterable<Uint8Array<ArrayBuffer>>) {
		for (const piece of pieces) {
			hash.update(piece);
			yield piece;
		}
	};
	try {
		const out = new PieceBuffer();
		for (const record of readSkeleton(request.recipe)) {
			if ("raw" in record) yield* hashed(out.add(record.raw));
			else {
				const root = record.moved ? roots.recipe : roots.layer;
				yield* hashed(contentOf(root, record, out));
			}
		}
		yield* hashed(out.rest());
	} finally {
		fs.closeSync(roots.layer);
		fs.closeSync(roots.recipe);
	}
	const diffId = `sha256:${hash.digest("hex")}`;
	if (diffId !== request.diffId)
		throw new Error(`the layer is damaged: its tar has digest ${diffId}, expected ${request.diffId}`);
}

function* contentOf(root: number, file: { path: string; size: number }, out: PieceBuffer) {
	const damaged = (why: string) => new Error(`the layer is damaged: ${JSON.stringify(readable(file.path))} ${why}`);
	let fd: number;
	try {
		const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants;
		fd = openInRoot(root, Buffer.from(file.path, "latin1"), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	} catch (cause) {
		throw new Error(damaged("cannot be opened").message, { cause });
	}
	try {
		const stat = fs.fstatSync(fd);
		if (!stat.isFile()) throw damaged("is no file");
		if (stat.size !== file.size) throw damaged(`has ${stat.size} bytes, expected ${file.size}`);
		yield* out.addFile(fd, file.size);
	} finally {
		fs.closeSync(fd);
	}
}
