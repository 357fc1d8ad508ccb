import * as fs from "node:fs";
import { copyFile, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { isDigest } from "../../oci/digest.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import type { BlobStore } from "./driver.ts";

/** Tells what a file holds, off the event loop. */
export type MeasureFile = (path: string) => Promise<{ digest: string; size: number }>;

const DOCUMENT_LIMIT = 8 * 1024 * 1024;
const PIECE = 512 * 1024;
const DRAFT = ".draft-";

/** Blobs below `root` (made when missing), one file each, named by the hex of their digest; `.draft-N` while they come in. */
export function createBlobStore(root: string, measure: MeasureFile): BlobStore {
	fs.mkdirSync(root, { recursive: true, mode: 0o700 });
	const sizes = openRoot(root);
	let next = 1;

	const commit = async (draft: string, digest: string, size: number) => {
		const found = await measure(draft);
		if (found.size !== size)
			throw new EngineError("invalid", `blob ${digest} has ${found.size} bytes, expected ${size}`);
		if (found.digest !== digest)
			throw new EngineError("invalid", `the blob has digest ${found.digest}, expected ${digest}`);
		await rename(draft, join(root, hexOf(digest)));
		sizes.set(digest, size);
	};

	return {
		has: (digest) => sizes.has(digest),
		list: () => [...sizes.keys()],
		size: (digest) => sizes.get(digest) ?? fail(digest),
		async put(digest, size, body) {
			const draft = join(root, `${DRAFT}${next++}`);
			try {
				await write(draft, body);
				await commit(draft, digest, size);
			} catch (cause) {
				await rm(draft, { force: true });
				throw asEngineError(digest, cause);
			}
		},
		async take(digest, size, path) {
			const draft = join(root, `${DRAFT}${next++}`);
			try {
				await move(path, draft);
				await commit(draft, digest, size);
			} catch (cause) {
				await rm(draft, { force: true });
				throw asEngineError(digest, cause);
			}
		},
		read(digest) {
			if (!sizes.has(digest)) fail(digest);
			return fs.createReadStream(join(root, hexOf(digest)), { highWaterMark: PIECE });
		},
		document(digest) {
			if ((sizes.get(digest) ?? fail(digest)) > DOCUMENT_LIMIT)
				throw new EngineError("invalid", `blob ${digest} is larger than 8 MiB`);
			return fs.readFileSync(join(root, hexOf(digest)));
		},
		async verify(digest) {
			const found = await measure(join(root, hexOf(digest)));
			if (found.digest !== digest)
				throw new EngineError("internal", `blob ${digest} is not as it was stored: it has digest ${found.digest}`);
		},
		remove(digest) {
			sizes.delete(digest);
			fs.rmSync(join(root, hexOf(digest)), { force: true });
		},
	};
}

/** Sizes by digest; what an earlier process did not finish is deleted. */
function openRoot(root: string): Map<string, number> {
	const sizes = new Map<string, number>();
	for (const name of fs.readdirSync(root)) {
		if (/^[0-9a-f]{64}$/.test(name)) sizes.set(`sha256:${name}`, fs.statSync(join(root, name)).size);
		else if (name.startsWith(DRAFT)) fs.rmSync(join(root, name), { force: true });
	}
	return sizes;
}

/** On disk once this returns: after a power loss a name must not stand for a file with holes. */
async function write(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
	const file = await open(path, "wx", 0o600);
	try {
		for await (const chunk of body) await file.writeFile(chunk);
		await file.datasync();
	} finally {
		await file.close();
	}
}

/** A rename where both lie on one file system. */
async function move(from: string, to: string): Promise<void> {
	try {
		await rename(from, to);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "EXDEV") throw error;
		await copyFile(from, to);
		await rm(from);
	}
	const file = await open(to, "r+");
	try {
		await file.datasync();
	} finally {
		await file.close();
	}
}

function hexOf(digest: string): string {
	if (!isDigest(digest)) throw new EngineError("invalid", `invalid digest ${JSON.stringify(digest)}`);
	return digest.slice("sha256:".length);
}

function fail(digest: string): never {
	throw new EngineError("internal", `blob ${digest} is missing`);
}

function asEngineError(digest: string, cause: unknown): unknown {
	if (!/ENOSPC/.test(messageOf(cause))) return cause;
	return new EngineError("internal", `cannot store blob ${digest}: no space left on device`, { cause });
}
