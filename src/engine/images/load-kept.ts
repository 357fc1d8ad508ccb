import type { Archive } from "../../drivers/content/driver.ts";
import { digestOf } from "../../oci/digest.ts";
import { isIndexType, parseManifestOrIndex } from "../../oci/manifest.ts";
import { EngineError } from "../../shared/errors.ts";
import type { KeptBlob } from "../../store/kept-indexes.ts";
import { blobPath } from "./archive.ts";
import type { Context } from "./context.ts";
import { type IndexContent, walkIndex } from "./keep.ts";
import { documentType } from "./kept.ts";

/** Fewer platforms are what the image itself is. */
const MIN_PLATFORMS = 2;

/**
 * The indexes of an OCI layout of which all is in the archive, packed as registries have it, by digest. Others are none: then the host's platform is
 * what is loaded.
 */
export async function wholeIndexes(archive: Archive): Promise<Map<string, IndexContent>> {
	const found = new Map<string, IndexContent>();
	if (!archive.file("index.json")) return found;
	const layout = parseManifestOrIndex(new TextDecoder().decode(await archive.read("index.json")), "index.json");
	const entries = "manifests" in layout ? layout.manifests : [];
	for (const { digest, mediaType } of entries) {
		if (!isIndexType(mediaType) || found.has(digest)) continue;
		const content = await contentOf(archive, digest);
		if (content && content.platforms.length >= MIN_PLATFORMS) found.set(digest, content);
	}
	return found;
}

/** Moves what an index consists of out of the archive; its layers must have been read before. */
export async function takeIndex(context: Context, archive: Archive, content: IndexContent): Promise<KeptBlob[]> {
	const parts = [
		...content.documents.map(({ digest, mediaType, bytes }) => ({ digest, mediaType, size: bytes.length })),
		...content.blobs.map(({ digest, mediaType, size }) => ({ digest, mediaType, size })),
	];
	for (const { digest, size } of parts) {
		const file = archive.file(blobPath(digest));
		if (!file && !context.blobs.has(digest)) throw missing(digest);
		if (file && !context.blobs.has(digest)) await context.blobs.take(digest, size, file.path);
	}
	return parts.map((part) => ({ ...part, repository: "" }));
}

async function contentOf(archive: Archive, digest: string): Promise<IndexContent | undefined> {
	const read = async (wanted: string) => {
		const path = blobPath(wanted);
		if (!archive.file(path)) throw missing(wanted);
		const bytes = await archive.read(path);
		if (digestOf(bytes) !== wanted) throw new EngineError("invalid", `blob ${wanted} has digest ${digestOf(bytes)}`);
		return { digest: wanted, mediaType: documentType(bytes, wanted), bytes };
	};
	try {
		const content = await walkIndex(await read(digest), read, digest);
		return content.blobs.every((blob) => archive.file(blobPath(blob.digest))) ? content : undefined;
	} catch (error) {
		if (error instanceof EngineError && error.code === "not-found") return undefined;
		throw error;
	}
}

function missing(digest: string): EngineError {
	return new EngineError("not-found", `blob ${digest} is not in the archive`);
}
