import type { FetchedManifest, RegistryOptions } from "../../drivers/registry/driver.ts";
import { type Descriptor, isIndexType, type Platform, parseManifestOrIndex } from "../../oci/manifest.ts";
import type { Reference } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import { shortId } from "../../shared/id.ts";
import type { KeptBlob } from "../../store/kept-indexes.ts";
import { isManifestType } from "./choose.ts";
import type { Context } from "./context.ts";
import { localFirst } from "./kept.ts";
import { allOrFirstError, type LayerState, type Output } from "./progress.ts";
import { repositoryName } from "./pull-layer.ts";
import { Slots } from "./transfers.ts";

/** Bounds against indexes that are bombs. */
const MAX_NESTING = 4;
const MAX_MANIFESTS = 256;
const MAX_BLOBS = 4096;
/** Of one pull at a time, as of layers. */
const BLOBS_AT_ONCE = 3;
/** Layers that lie elsewhere by licence: registries do not have them. */
const FOREIGN_TYPE = /nondistributable|rootfs\.foreign/;

interface Job {
	readonly output: Output;
	readonly options: RegistryOptions & { readonly signal: AbortSignal };
}

/** All that an index leads to. */
export interface IndexContent {
	/** The index first; those it names follow those that name them. */
	readonly documents: readonly FetchedManifest[];
	/** Configurations and layers, each once. */
	readonly blobs: readonly Descriptor[];
	/** Of its images, in its order. */
	readonly platforms: readonly Platform[];
}

/** Gets a document by its digest. */
export type FetchDocument = (digest: string) => Promise<FetchedManifest>;

/** Follows an index to its ends. Throws "invalid" for one that is too big, or holds what is no manifest. */
export async function walkIndex(
	top: FetchedManifest,
	fetchDocument: FetchDocument,
	name: string,
): Promise<IndexContent> {
	const documents = new Map<string, FetchedManifest>();
	const blobs = new Map<string, Descriptor>();
	const platforms: Platform[] = [];
	const visit = async (document: FetchedManifest, depth: number): Promise<void> => {
		if (documents.has(document.digest)) return;
		if (depth > MAX_NESTING) throw refusal(name, `its indexes are nested more than ${MAX_NESTING} deep`);
		if (documents.size >= MAX_MANIFESTS) throw refusal(name, `it has more than ${MAX_MANIFESTS} manifests`);
		documents.set(document.digest, document);
		const value = parseManifestOrIndex(new TextDecoder().decode(document.bytes), document.digest);
		if (!("manifests" in value)) {
			const wanted = [value.config, ...value.layers].filter(({ mediaType }) => !FOREIGN_TYPE.test(mediaType));
			for (const blob of wanted) blobs.set(blob.digest, blob);
			if (blobs.size > MAX_BLOBS) throw refusal(name, `it has more than ${MAX_BLOBS} blobs`);
			return;
		}
		for (const entry of value.manifests) {
			if (!isManifestType(entry.mediaType)) throw refusal(name, `its entry ${entry.digest} is a ${entry.mediaType}`);
			const isImage = entry.platform && entry.platform.os !== "unknown" && !isIndexType(entry.mediaType);
			if (isImage && entry.platform) platforms.push(entry.platform);
			await visit(await fetchDocument(entry.digest), depth + 1);
		}
	};
	await visit(top, 0);
	return { documents: [...documents.values()], blobs: [...blobs.values()], platforms };
}

/**
 * Fetches everything that an index leads to, in parallel and together with whoever else wants it. What came stays for the next pull when this
 * one breaks off. The caller stores the parts, with a name, as soon as its image is there.
 */
export async function fetchIndex(
	context: Context,
	repository: Reference,
	content: IndexContent,
	job: Job,
): Promise<readonly KeptBlob[]> {
	const from = repositoryName(repository);
	for (const { digest, bytes } of content.documents) {
		if (!context.blobs.has(digest)) await context.blobs.put(digest, bytes.length, once(bytes));
	}
	const stop = new AbortController();
	const options = { ...job.options, signal: AbortSignal.any([job.options.signal, stop.signal]) };
	const slots = new Slots(BLOBS_AT_ONCE);
	for (const { digest } of content.blobs)
		job.output.layer(shortId(digest), {
			status: context.blobs.has(digest) ? "Already exists" : "Pulling fs layer",
		});
	const missing = content.blobs.filter(({ digest }) => !context.blobs.has(digest));
	const work = missing.map((blob) =>
		context.transfers.join(
			`blob ${blob.digest}`,
			(report, signal) => fetchBlob(context, repository, blob, { ...options, signal }, slots, report),
			(state) => job.output.layer(shortId(blob.digest), state),
			options.signal,
		),
	);
	await allOrFirstError(work, () => stop.abort());
	return [
		...content.documents.map(({ digest, mediaType, bytes }) => ({ digest, mediaType, size: bytes.length })),
		...content.blobs.map(({ digest, mediaType, size }) => ({ digest, mediaType, size })),
	].map((part) => ({ ...part, repository: from }));
}

/** How documents of an index are got: those that are here are not asked for. */
export function documentsOf(context: Context, repository: Reference, options: RegistryOptions): FetchDocument {
	const source = localFirst(context);
	return (digest) => source.manifest({ domain: repository.domain, path: repository.path, digest }, options);
}

async function fetchBlob(
	context: Context,
	repository: Reference,
	blob: Descriptor,
	options: Job["options"],
	slots: Slots,
	report: (state: LayerState) => void,
): Promise<void> {
	const waits = () => report({ status: "Waiting" });
	using _own = await slots.acquire(options.signal, waits);
	using _all = await context.slots.acquire(options.signal, waits);
	const total = blob.size;
	if (!context.blobs.has(blob.digest)) {
		let current = 0;
		const counted = async function* () {
			for await (const chunk of context.registry.blob(repository, blob, options)) {
				current += chunk.length;
				report({ status: "Downloading", current, total });
				yield chunk;
			}
			report({ status: "Verifying Checksum" });
		};
		await context.blobs.put(blob.digest, blob.size, counted());
	}
	report({ status: "Download complete" });
}

function refusal(name: string, why: string): EngineError {
	return new EngineError("invalid", `cannot keep all platforms of ${name}: ${why}`);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
	yield bytes;
}
