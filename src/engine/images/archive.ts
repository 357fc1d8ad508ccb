import type { Archive } from "../../drivers/content/driver.ts";
import { digestOf } from "../../oci/digest.ts";
import type { ImageConfig } from "../../oci/image.ts";
import { parseImageConfig } from "../../oci/image-config.ts";
import {
	type Descriptor,
	hostPlatform,
	type Platform,
	parseArchiveManifest,
	parseManifestOrIndex,
} from "../../oci/manifest.ts";
import { familiarString, parseNewTag, parseReference, parseTagged } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";

/** One image found in an archive: its verified config and where its layers lie, base first. */
export interface ArchivedImage {
	readonly id: string;
	readonly configJson: string;
	readonly config: ImageConfig;
	readonly tags: readonly string[];
	readonly layers: readonly string[];
	/** The index of the layout that led to it. */
	readonly index?: string;
}

export interface ReadOptions {
	readonly platform: Platform;
	/** Indexes of which all is in the archive: then it is read as a layout. */
	readonly whole?: ReadonlySet<string>;
	/** The platform was asked for: no other will do. Else the first counts where a whole index has not that of the host. */
	readonly isAsked?: boolean;
}

const MAX_LAYERS = 127;
const MAX_DEPTH = 8;

/** Reads docker-archive (manifest.json) and OCI layout (index.json) archives. Throws "invalid". */
export async function readArchive(
	archive: Archive,
	options: ReadOptions = { platform: hostPlatform() },
): Promise<ArchivedImage[]> {
	const hasWhole = options.whole !== undefined && options.whole.size > 0;
	if (archive.file("manifest.json") && !hasWhole) return await readDockerArchive(archive);
	if (archive.file("index.json")) return await readLayout(archive, options);
	throw new EngineError(
		"invalid",
		"invalid archive: neither manifest.json (docker save) nor index.json (OCI layout) is in it",
	);
}

async function readDockerArchive(archive: Archive): Promise<ArchivedImage[]> {
	const entries = parseArchiveManifest(await readText(archive, "manifest.json"));
	const images: ArchivedImage[] = [];
	for (const entry of entries) {
		const tags = entry.repoTags.map((tag) => familiarString(parseNewTag(tag)));
		const expected = /([0-9a-f]{64})(?:\.json)?$/.exec(entry.config)?.[1];
		images.push(await readImage(archive, entry.config, expected && `sha256:${expected}`, entry.layers, tags));
	}
	return images;
}

async function readLayout(archive: Archive, options: ReadOptions): Promise<ArchivedImage[]> {
	const index = parseManifestOrIndex(await readText(archive, "index.json"), "index.json");
	if (!("manifests" in index)) throw new EngineError("invalid", "invalid archive: index.json is no index");
	const images = new Map<string, ArchivedImage>();
	for (const descriptor of choose(index.manifests, options.platform, true)) {
		const image = await readDescriptor(archive, descriptor, options, 0);
		const known = images.get(image.id);
		const tags = [...new Set([...(known?.tags ?? []), ...tagsOf(descriptor)])];
		images.set(image.id, { ...image, tags, index: known?.index ?? descriptor.digest });
	}
	return [...images.values()];
}

async function readDescriptor(
	archive: Archive,
	descriptor: Descriptor,
	options: ReadOptions,
	depth: number,
): Promise<ArchivedImage> {
	if (depth > MAX_DEPTH) throw new EngineError("invalid", "invalid archive: indexes are nested too deeply");
	const json = await readBlob(archive, descriptor.digest);
	const value = parseManifestOrIndex(json, descriptor.digest);
	if ("manifests" in value) {
		const { platform, whole, isAsked } = options;
		const chosen = choose(value.manifests, platform, !isAsked && (whole?.has(descriptor.digest) ?? false))[0];
		if (!chosen) {
			throw new EngineError("invalid", `no image for platform ${platform.os}/${platform.architecture} in the archive`);
		}
		return await readDescriptor(archive, chosen, options, depth + 1);
	}
	const layers = value.layers.map((layer) => blobPath(layer.digest));
	return await readImage(archive, blobPath(value.config.digest), value.config.digest, layers, []);
}

/** At the top every descriptor is an image of its own; within an index they are one image's platforms. `any`: when none fits, all do. */
function choose(all: readonly Descriptor[], platform: Platform, any: boolean): Descriptor[] {
	const images = all.filter((one) => one.annotations?.["vnd.docker.reference.type"] !== "attestation-manifest");
	const matching = images.filter((one) => one.platform === undefined || matches(one.platform, platform));
	return any && matching.length === 0 ? images : matching;
}

function matches(one: Platform, wanted: Platform): boolean {
	const variant = wanted.variant === undefined || one.variant === undefined || one.variant === wanted.variant;
	return one.os === wanted.os && one.architecture === wanted.architecture && variant;
}

/** `org.opencontainers.image.ref.name` is a whole name (containerd, skopeo) or only a tag (then it names nothing). */
function tagsOf(descriptor: Descriptor): string[] {
	const name =
		descriptor.annotations?.["io.containerd.image.name"] ??
		descriptor.annotations?.["org.opencontainers.image.ref.name"];
	if (name === undefined || !/[:/]/.test(name)) return [];
	return [familiarString({ ...parseTagged(name), digest: undefined })].filter(
		(tag) => parseReference(tag).tag !== undefined,
	);
}

async function readImage(
	archive: Archive,
	configPath: string,
	expected: string | undefined,
	layers: readonly string[],
	tags: readonly string[],
): Promise<ArchivedImage> {
	const bytes = await archive.read(configPath);
	const id = digestOf(bytes);
	if (expected !== undefined && id !== expected)
		throw new EngineError("invalid", `image config has digest ${id}, expected ${expected}`);
	const configJson = new TextDecoder().decode(bytes);
	const config = parseImageConfig(configJson);
	const diffIds = config.rootfs.diff_ids;
	if (diffIds.length !== layers.length) {
		throw new EngineError(
			"invalid",
			`invalid image ${id}: ${layers.length} layers in the archive, ${diffIds.length} in its config`,
		);
	}
	if (layers.length > MAX_LAYERS)
		throw new EngineError("invalid", `max depth exceeded: ${layers.length} layers, allowed are ${MAX_LAYERS}`);
	return { id, configJson, config, tags, layers };
}

async function readBlob(archive: Archive, digest: string): Promise<string> {
	const bytes = await archive.read(blobPath(digest));
	if (digestOf(bytes) !== digest) throw new EngineError("invalid", `blob ${digest} has digest ${digestOf(bytes)}`);
	return new TextDecoder().decode(bytes);
}

async function readText(archive: Archive, name: string): Promise<string> {
	return new TextDecoder().decode(await archive.read(name));
}

/** Where an OCI layout has a blob. */
export function blobPath(digest: string): string {
	return `blobs/${digest.replace(":", "/")}`;
}
