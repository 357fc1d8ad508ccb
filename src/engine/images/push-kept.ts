import { familiarString, type Reference } from "../../oci/reference.ts";
import { shortId } from "../../shared/id.ts";
import type { KeptBlob } from "../../store/kept-indexes.ts";
import { isManifestType } from "./choose.ts";
import type { Context } from "./context.ts";
import { documentType, type KeptImage } from "./kept.ts";
import { allOrFirstError, type LayerState } from "./progress.ts";
import type { PushJob } from "./push.ts";
import { attempts } from "./push-layer.ts";
import { Slots } from "./transfers.ts";

/** Blobs of one push at a time. */
const BLOBS_AT_ONCE = 5;

/** What a push sends: blobs, then documents in the order in which a registry takes them, the last one under the tag. */
interface Parcel {
	readonly blobs: readonly KeptBlob[];
	/** Digests; what names others comes after them. */
	readonly documents: readonly string[];
}

/** A whole index, as it came. */
export function indexParcel(context: Context, index: string): Parcel {
	const parts = context.kept.blobs(index);
	const isDocument = ({ mediaType }: KeptBlob) => mediaType !== "" && isManifestType(mediaType);
	return {
		blobs: parts.filter((part) => !isDocument(part)),
		documents: parts
			.filter(isDocument)
			.map(({ digest }) => digest)
			.reverse(),
	};
}

/** One platform of it. */
export function platformParcel(context: Context, index: string, { descriptor, config, layers }: KeptImage): Parcel {
	const wanted = new Set([config, ...layers].map(({ digest }) => digest));
	return {
		blobs: context.kept.blobs(index).filter(({ digest }) => wanted.has(digest)),
		documents: [descriptor.digest],
	};
}

/** Sends what the registry has not, byte for byte; returns the digest of the last document and its bytes. */
export async function pushParcel(
	context: Context,
	reference: Reference,
	{ blobs, documents }: Parcel,
	job: PushJob,
): Promise<{ digest: string; mediaType: string; bytes: Uint8Array }> {
	const all = [...blobs.map(({ digest }) => digest), ...documents];
	using _hold = context.layers.holdBlobs(all);
	const repository = { domain: reference.domain, path: reference.path };
	const stop = new AbortController();
	const options = { ...job.options, signal: AbortSignal.any([job.options.signal, stop.signal]) };
	const slots = new Slots(BLOBS_AT_ONCE);
	for (const { digest } of blobs) job.output.layer(shortId(digest), { status: "Preparing" });
	const work = blobs.map(async (blob) => {
		const report = (state: LayerState) => job.output.layer(shortId(blob.digest), state);
		using _own = await slots.acquire(options.signal, () => report({ status: "Waiting" }));
		using _all = await context.slots.acquire(options.signal);
		await pushBlob(context, repository, blob, options, report);
	});
	await allOrFirstError(work, () => stop.abort());
	const top = documents.at(-1) ?? "";
	for (const digest of documents.slice(0, -1)) await pushDocument(context, { ...repository, digest }, digest, job);
	return await pushDocument(context, { ...repository, tag: reference.tag }, top, job);
}

async function pushDocument(context: Context, reference: Reference, digest: string, job: PushJob) {
	const bytes = context.blobs.document(digest);
	const mediaType = documentType(bytes, familiarString(reference));
	await context.registry.pushManifest(reference, { mediaType, bytes }, job.options);
	return { digest, mediaType, bytes };
}

async function pushBlob(
	context: Context,
	repository: Reference,
	{ digest, size, repository: from }: KeptBlob,
	options: PushJob["options"],
	report: (state: LayerState) => void,
): Promise<void> {
	const { registry, blobs } = context;
	if (await registry.hasBlob(repository, digest, options)) return report({ status: "Layer already exists" });
	const source = from.startsWith(`${repository.domain}/`) ? from.slice(repository.domain.length + 1) : "";
	const isElsewhere = source !== "" && source !== repository.path;
	if (isElsewhere && (await registry.mountBlob(repository, digest, source, options)))
		return report({ status: `Mounted from ${source}` });
	await attempts(options.signal, async () => {
		let current = 0;
		const counted = async function* () {
			for await (const chunk of blobs.read(digest)) {
				current += chunk.length;
				report({ status: "Pushing", current, total: size });
				yield chunk;
			}
		};
		await registry.pushBlob(repository, counted(), async () => digest, options);
	});
	report({ status: "Pushed" });
}
