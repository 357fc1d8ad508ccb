import { parsePlatform } from "../../oci/manifest.ts";
import { familiarString } from "../../oci/reference.ts";
import { nowNano } from "../../shared/time.ts";
import { Catalog, taggedReference } from "./catalog.ts";
import { checkLayers } from "./check.ts";
import { commitImage } from "./commit.ts";
import { type Context, type ImagesParts, publish } from "./context.ts";
import type { ImageRecord, Images } from "./contract.ts";
import { historyOf } from "./history.ts";
import { importTar } from "./import.ts";
import { keptIndexOf, keptManifests, keptPlatform, keptRecord } from "./kept.ts";
import { Layers } from "./layers.ts";
import { loadImages } from "./load.ts";
import { requirePlatform } from "./platform.ts";
import { pruneImages } from "./prune.ts";
import { pullImages } from "./pull.ts";
import { pushImages } from "./push.ts";
import { describeImage, searchImages } from "./registry-queries.ts";
import { removeImage } from "./remove.ts";
import { saveImages } from "./save.ts";
import { addStep, findStep } from "./step.ts";
import { Slots, Transfers } from "./transfers.ts";
import { imagesUsage } from "./usage.ts";

/** Layers that are fetched or sent at a time, by all clients together: one registry that stalls leaves room for others. */
const TRANSFERS_AT_ONCE = 12;

export interface ImagesEngine extends Images {
	/** Deletes layers that nothing needs. Call once at start, when containers are known. */
	sweep(): Promise<void>;
}

/** The images noun. Layers are committed first and the record after: what a crash leaves is swept at the next start. */
export function createImages(parts: ImagesParts): ImagesEngine {
	const catalog = new Catalog(parts.store, parts.builds);
	const layers = new Layers({
		snapshotter: parts.snapshotter,
		store: parts.distribution,
		blobs: parts.blobs,
		neededBlobs: () => parts.kept.needed(),
		needed: () => [...catalog.list().flatMap((image) => image.chain), ...parts.chainsInUse()],
	});
	const context: Context = {
		...parts,
		catalog,
		layers,
		transfers: new Transfers(),
		slots: new Slots(TRANSFERS_AT_ONCE),
	};
	return {
		get revision() {
			return catalog.revision;
		},
		sweep: async () => void (await layers.sweep()),
		resolve: (ref) => catalog.resolve(ref),
		requirePlatform: (ref, platform) => requirePlatform(catalog.resolve(ref), ref, parsePlatform(platform)),
		list: () => catalog.list(),
		load: (body, options) => loadImages(context, body, options),
		pull: (name, options) => pullImages(context, name, options),
		push: (name, options) => pushImages(context, name, options),
		describe: (name, options) => describeImage(context, name, options),
		search: (term, options) => searchImages(context, term, options),
		login: (credentials, signal) => parts.registry.login(credentials, signal),
		check: (options) => checkLayers(context, options),
		save: (refs, options) => saveImages(context, refs, options),
		commit: (request) => commitImage(context, request),
		addStep: (request) => addStep(context, request),
		findStep: (parent, cacheKey) => findStep(context, parent, cacheKey),
		importTar: (body, options) => importTar(context, body, options),
		importUrl: (url, options) => importTar(context, parts.download(url, options.signal), options),
		tag: (ref, repo, tag) => tagImage(context, ref, repo, tag),
		remove: (ref, options) => removeImage(context, ref, options),
		prune: (options) => pruneImages(context, options),
		history: (ref, platform) =>
			historyOf(platform ? resolvePlatform(context, ref, platform) : catalog.resolve(ref), parts.snapshotter),
		usage: () => imagesUsage(context),
		keptManifests: (imageId) => keptManifests(context, catalog.resolve(imageId)),
		resolvePlatform: (ref, platform) => resolvePlatform(context, ref, platform),
		manifests: (imageId) => parts.distribution.manifests(imageId),
		userCount: (imageId) => parts.users(imageId).length,
	};
}

/** Contract: Images.resolvePlatform. */
function resolvePlatform(context: Context, ref: string, text: string): ImageRecord {
	const image = context.catalog.resolve(ref);
	const platform = parsePlatform(text);
	const index = keptIndexOf(context, image, ref);
	const kept = index === undefined ? undefined : keptPlatform(context, index, platform);
	if (kept) return keptRecord(context, image, kept);
	requirePlatform(image, ref, platform);
	return image;
}

function tagImage(context: Context, ref: string, repo: string, tag: string): void {
	const image = context.catalog.resolve(ref);
	const name = familiarString(taggedReference(repo, tag));
	const index = keptIndexOf(context, image, ref);
	context.store.tag(name, image.id, nowNano());
	context.kept.name([name], index);
	context.catalog.refresh();
	context.layers.releaseBlobs();
	publish(context, "tag", image.id, { name });
}
