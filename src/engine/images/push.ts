import type { RegistryOptions } from "../../drivers/registry/driver.ts";
import { type Platform, parsePlatform } from "../../oci/manifest.ts";
import { familiarName, familiarString, parseReference, type Reference, repositoryOf } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import { taggedReference } from "./catalog.ts";
import { type Context, publish } from "./context.ts";
import type { ImageRecord, PushOptions } from "./contract.ts";
import { keptPlatform } from "./kept.ts";
import { requirePlatform } from "./platform.ts";
import { allOrFirstError, type Line, linesOf, type Output } from "./progress.ts";
import { repositoryName } from "./pull-layer.ts";
import { indexParcel, platformParcel, pushParcel } from "./push-kept.ts";
import { pushLayer, type SentLayer } from "./push-layer.ts";
import { Slots } from "./transfers.ts";

/** Layers of one push at a time, as docker's default. */
const LAYERS_AT_ONCE = 5;
const MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG_TYPE = "application/vnd.docker.container.image.v1+json";
const LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/** One push to one client. */
export interface PushJob {
	readonly output: Output;
	readonly options: RegistryOptions & { readonly signal: AbortSignal };
}

/** Contract: Images.push. */
export function pushImages(context: Context, name: string, asked: PushOptions): AsyncIterable<Line> {
	const repository = pushRepository(name);
	const single = asked.tag ? taggedReference(familiarName(repository), asked.tag) : undefined;
	return linesOf(asked.signal, async (output, signal) => {
		output.line({ status: `The push refers to repository [${repositoryName(repository)}]` });
		const job: PushJob = { output, options: { credentials: asked.credentials, signal } };
		for (const [reference, image] of imagesToPush(context, repository, single)) {
			await pushOne(context, reference, image, asked.platform ? parsePlatform(asked.platform) : undefined, job);
		}
		const image = single && context.catalog.find(familiarString(single));
		publish(context, "push", familiarString(single ?? repository), { name: familiarName(repository) }, image?.id);
	});
}

function pushRepository(name: string): Reference {
	const { digest, ...reference } = parseReference(name);
	if (digest !== undefined) throw new EngineError("invalid", "cannot push a digest reference");
	return { domain: reference.domain, path: reference.path };
}

/** One tag, or all of the repository. Throws "not-found" in docker's words. */
function imagesToPush(
	context: Context,
	repository: Reference,
	single: Reference | undefined,
): (readonly [Reference, ImageRecord])[] {
	const shown = familiarName(repository);
	const tags = context.catalog.list().flatMap((image) => image.tags.map((tag) => [tag, image] as const));
	const found = tags.filter(([tag]) => repositoryOf(tag) === shown);
	if (found.length === 0) throw new EngineError("not-found", `An image does not exist locally with the tag: ${shown}`);
	const wanted = single && familiarString(single);
	const chosen = wanted === undefined ? found : found.filter(([tag]) => tag === wanted);
	if (chosen.length === 0) throw new EngineError("not-found", `tag does not exist: ${wanted}`);
	return chosen.map(([tag, image]) => [parseReference(tag), image] as const);
}

async function pushOne(
	context: Context,
	reference: Reference,
	image: ImageRecord,
	platform: Platform | undefined,
	job: PushJob,
): Promise<void> {
	const repository = { domain: reference.domain, path: reference.path };
	const index = context.kept.indexOf(familiarString(reference));
	const kept = index !== undefined && platform ? keptPlatform(context, index, platform) : undefined;
	if (platform && !kept) requirePlatform(image, familiarString(reference), platform);
	const isWhole = index !== undefined && !platform;
	const parcel = isWhole ? indexParcel(context, index) : kept && platformParcel(context, index ?? "", kept);
	const pushed = parcel
		? await pushParcel(context, reference, parcel, job)
		: await pushImage(context, reference, image, job);
	const { digest, mediaType, bytes } = pushed;
	// One platform of several is another image than the name stands for here.
	if (!kept) {
		const name = familiarString({ ...repository, digest });
		context.store.addDigest(name, image.id);
		context.kept.name([name], isWhole ? index : undefined);
		context.distribution.saveManifests(image.id, [{ digest, mediaType, bytes }]);
		context.catalog.refresh();
	}
	const size = bytes.length;
	job.output.line({ status: `${reference.tag}: digest: ${digest} size: ${size}` });
	job.output.line({ progressDetail: {}, aux: { Tag: reference.tag, Digest: digest, Size: size } });
}

/** An image of unpacked layers: packs them, and sends a manifest of their own. */
async function pushImage(context: Context, reference: Reference, image: ImageRecord, job: PushJob) {
	const repository = { domain: reference.domain, path: reference.path };
	const layers = await pushLayers(context, repository, image, job);
	const config = new TextEncoder().encode(image.configJson);
	const { registry } = context;
	if (!(await registry.hasBlob(repository, image.id, job.options)))
		await registry.pushBlob(repository, once(config), async () => image.id, job.options);
	const bytes = new TextEncoder().encode(schema2(image.id, config.length, layers));
	const digest = await registry.pushManifest(reference, { mediaType: MANIFEST_TYPE, bytes }, job.options);
	return { digest, mediaType: MANIFEST_TYPE, bytes };
}

/** Base first, as the manifest wants them; shown topmost first, as docker does. */
async function pushLayers(
	context: Context,
	repository: Reference,
	image: ImageRecord,
	job: PushJob,
): Promise<readonly SentLayer[]> {
	const stop = new AbortController();
	const options = { ...job.options, signal: AbortSignal.any([job.options.signal, stop.signal]) };
	const slots = new Slots(LAYERS_AT_ONCE);
	const sent = new Map<string, SentLayer>();
	const layers = image.chain.map((chainId, i) => ({ chainId, diffId: image.config.rootfs.diff_ids[i] ?? "" }));
	// A layer that stands there twice is sent once.
	const distinct = new Map(layers.reverse().map((layer) => [layer.diffId, layer]));
	for (const { diffId } of distinct.values()) job.output.layer(diffId.slice(7, 19), { status: "Preparing" });
	const work = [...distinct.values()].map(async (layer) => {
		const report = (state: Parameters<Output["layer"]>[1]) => job.output.layer(layer.diffId.slice(7, 19), state);
		using _own = await slots.acquire(options.signal, () => report({ status: "Waiting" }));
		using _all = await context.slots.acquire(options.signal);
		sent.set(layer.diffId, await pushLayer(context, { ...layer, repository }, options, report));
	});
	await allOrFirstError(work, () => stop.abort());
	return image.config.rootfs.diff_ids.flatMap((diffId) => sent.get(diffId) ?? []);
}

/** The document dockerd makes of the same layers, to the byte: the digest of a push depends on nothing else. */
function schema2(configDigest: string, configSize: number, layers: readonly SentLayer[]): string {
	return JSON.stringify(
		{
			schemaVersion: 2,
			mediaType: MANIFEST_TYPE,
			config: { mediaType: CONFIG_TYPE, size: configSize, digest: configDigest },
			layers: layers.map(({ size, digest }) => ({ mediaType: LAYER_TYPE, size, digest })),
		},
		null,
		3,
	);
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
	yield bytes;
}
