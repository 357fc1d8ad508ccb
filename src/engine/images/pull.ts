import type { FetchedManifest, Registry, RegistryOptions } from "../../drivers/registry/driver.ts";
import { chainIds, digestOf } from "../../oci/digest.ts";
import { parseImageConfig } from "../../oci/image-config.ts";
import { type Descriptor, hostPlatform, isIndexType, type Platform, parsePlatform } from "../../oci/manifest.ts";
import { familiarName, familiarString, isTag, parseReference, type Reference } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import { shortId } from "../../shared/id.ts";
import type { KeptBlob } from "../../store/kept-indexes.ts";
import { references } from "./catalog.ts";
import { type ChosenManifest, chooseManifest } from "./choose.ts";
import { type Context, publish, saveImage, type WholeIndex } from "./context.ts";
import type { PullOptions } from "./contract.ts";
import { documentsOf, fetchIndex, walkIndex } from "./keep.ts";
import { localFirst } from "./kept.ts";
import { platformMismatch, samePlatform } from "./platform.ts";
import { allOrFirstError, type Line, linesOf, type Output } from "./progress.ts";
import { type LayerJob, pullLayer } from "./pull-layer.ts";
import { Slots } from "./transfers.ts";

/** Layers of one pull at a time, as docker's default. */
const LAYERS_AT_ONCE = 3;
/** In the place of a platform. */
const ALL_PLATFORMS = "all";
const MAX_CONFIG_BYTES = 8 * 1024 * 1024;

interface Job {
	readonly platform: Platform;
	/** Whole indexes are kept. */
	readonly allPlatforms: boolean;
	readonly options: RegistryOptions & { readonly signal: AbortSignal };
	readonly output: Output;
}

/** Contract: Images.pull. */
export function pullImages(context: Context, name: string, asked: PullOptions): AsyncIterable<Line> {
	const reference = pullReference(name, asked.tag);
	const allPlatforms = asked.platform === ALL_PLATFORMS;
	const platform = asked.platform && !allPlatforms ? parsePlatform(asked.platform) : hostPlatform();
	return linesOf(asked.signal, async (output, signal) => {
		const job: Job = { platform, allPlatforms, output, options: { credentials: asked.credentials, signal } };
		const single = reference.tag !== undefined || reference.digest !== undefined;
		const tags = single ? [reference] : await allTags(context.registry, reference, job.options);
		let changed = false;
		for (const one of tags) changed = (await pullOne(context, one, job)) || changed;
		const shown = familiarString(reference);
		const what = changed ? "Downloaded newer image for" : "Image is up to date for";
		output.line({ status: `Status: ${what} ${shown}` });
		if (single && asked.platform && !allPlatforms) warnOfPlatform(context, reference, platform, output);
		const id = single ? context.catalog.find(shown)?.id : undefined;
		// Also where layers go whose leases have run out since.
		await context.layers.sweep();
		publish(context, "pull", shown, { name: familiarName(reference) }, id);
	});
}

/** Docker's reading of `fromImage` and `tag`: the tag may be a digest, and wins over one in the name. */
function pullReference(name: string, tag: string | undefined): Reference {
	const { domain, path, ...own } = parseReference(name.replace(/:$/, ""));
	if (!tag) return own.digest === undefined ? { domain, path, ...own } : { domain, path, digest: own.digest };
	if (tag.includes(":")) return parseReference(`${domain}/${path}@${tag}`);
	if (!isTag(tag)) throw new EngineError("invalid", "invalid tag format");
	return parseReference(`${domain}/${path}:${tag}`);
}

async function allTags(registry: Registry, reference: Reference, options: RegistryOptions): Promise<Reference[]> {
	const tags = await registry.tags(reference, options);
	if (tags.length === 0) throw new EngineError("not-found", `no tags found for ${familiarName(reference)}`);
	return tags.map((tag) => ({ ...reference, tag }));
}

/** Pulls what one tag or digest names; false when it was there already. */
async function pullOne(context: Context, reference: Reference, job: Job): Promise<boolean> {
	const top = await context.registry.manifest(reference, job.options);
	if (reference.digest !== undefined && top.digest !== reference.digest) {
		throw new EngineError("invalid", `the registry sent ${top.digest} for ${familiarString(reference)}`);
	}
	job.output.line({
		status: `Pulling from ${reference.path}`,
		id: reference.tag ?? reference.digest,
	});
	const repository = { domain: reference.domain, path: reference.path };
	const names = [familiarString({ ...repository, digest: top.digest })];
	if (reference.tag !== undefined) names.unshift(familiarString(reference));
	const pulled =
		job.allPlatforms && isIndexType(top.mediaType)
			? await pullWhole(context, reference, top, names, job)
			: await pullPlatform(context, reference, top, names, job);
	job.output.line({ status: `Digest: ${top.digest}` });
	return pulled;
}

/** The index with all that it leads to, then the image of the host's platform, or of its first, from what came. */
async function pullWhole(
	context: Context,
	reference: Reference,
	top: FetchedManifest,
	names: readonly string[],
	job: Job,
): Promise<boolean> {
	const content = await walkIndex(top, documentsOf(context, reference, job.options), familiarString(reference));
	const digests = [...content.documents, ...content.blobs].map(({ digest }) => digest);
	using lease = context.layers.leaseBlobs(top.digest, digests);
	const parts = await fetchIndex(context, reference, content, job);
	const [first = job.platform] = content.platforms;
	const platform = content.platforms.some((one) => samePlatform(one, job.platform)) ? job.platform : first;
	const changed = await pullPlatform(context, reference, top, names, { ...job, platform }, parts);
	lease.done();
	return changed;
}

async function pullPlatform(
	context: Context,
	reference: Reference,
	top: FetchedManifest,
	names: readonly string[],
	job: Job,
	parts?: readonly KeptBlob[],
): Promise<boolean> {
	const chosen = await chooseManifest(localFirst(context), reference, top, job.platform, job.options);
	// A whole index stays whole when one of its platforms is pulled.
	const index = parts || context.kept.has(top.digest) ? { digest: top.digest, parts } : undefined;
	const id = chosen.manifest.config.digest;
	const known = context.catalog.get(id);
	const isSame = (name: string) =>
		known && references(known).includes(name) && context.kept.indexOf(name) === index?.digest;
	const changed = !names.every(isSame);
	if (!known) await fetchImage(context, reference, chosen, { names, index }, job);
	else if (changed) saveImage(context, known, names, index);
	context.distribution.saveManifests(id, chosen.path);
	return changed;
}

/** Config first, because it tells the layers apart; then all layers, and the record when they are whole. */
async function fetchImage(
	context: Context,
	repository: Reference,
	{ manifest }: ChosenManifest,
	{ names, index }: { readonly names: readonly string[]; readonly index: WholeIndex | undefined },
	job: Job,
): Promise<void> {
	const configJson = await fetchConfig(localFirst(context), repository, manifest.config, job.options);
	const diffIds = parseImageConfig(configJson).rootfs.diff_ids;
	if (diffIds.length !== manifest.layers.length) {
		throw new EngineError(
			"invalid",
			`invalid image ${manifest.config.digest}: ${manifest.layers.length} layers in its manifest, ${diffIds.length} in its config`,
		);
	}
	const chain = chainIds(diffIds);
	await using lease = context.layers.lease(manifest.config.digest, chain);
	const stop = new AbortController();
	const signal = AbortSignal.any([job.options.signal, stop.signal]);
	const slots = new Slots(LAYERS_AT_ONCE);
	const layers = manifest.layers.map((blob, i): LayerJob => {
		const chainId = chain[i] ?? "";
		const diffId = diffIds[i] ?? "";
		return { chainId, parentChainId: chain[i - 1], diffId, blob, repository, slots };
	});
	for (const { chainId, blob } of layers) {
		const has = context.snapshotter.has(chainId);
		job.output.layer(shortId(blob.digest), { status: has ? "Already exists" : "Pulling fs layer" });
	}
	await allOrFirstError(
		layers.map((layer) => pullLayer(context, layer, { ...job.options, signal }, job.output)),
		() => stop.abort(),
	);
	saveImage(context, { id: manifest.config.digest, configJson }, names, index);
	lease.done();
}

/** The image's configuration, checked. */
export async function fetchConfig(
	registry: Pick<Registry, "blob">,
	repository: Reference,
	blob: Descriptor,
	options: RegistryOptions,
): Promise<string> {
	if (blob.size > MAX_CONFIG_BYTES)
		throw new EngineError("invalid", `image config ${blob.digest} is larger than 8 MiB`);
	const parts: Uint8Array[] = [];
	for await (const part of registry.blob(repository, blob, options)) parts.push(part);
	const text = Buffer.concat(parts).toString("utf8");
	// Of the text and not of the bytes: it is stored as text, and must give the same digest again.
	if (digestOf(text) !== blob.digest)
		throw new EngineError("invalid", `image config has digest ${digestOf(text)}, expected ${blob.digest}`);
	return text;
}

/** A registry may hold an image of another platform under the name: docker takes it, and says so. */
function warnOfPlatform(context: Context, reference: Reference, wanted: Platform, output: Output): void {
	const shown = familiarString(reference);
	const image = context.catalog.find(shown);
	const mismatch = image && platformMismatch(image, shown, wanted);
	if (mismatch !== undefined) output.line({ status: `WARNING: ${mismatch}` });
}
