import type { Registry, RegistryOptions } from "../../drivers/registry/driver.ts";
import { parseImageConfig } from "../../oci/image-config.ts";
import { type Descriptor, isIndexType, type Platform, parseManifestOrIndex } from "../../oci/manifest.ts";
import type { Reference } from "../../oci/reference.ts";
import { references, storedName } from "./catalog.ts";
import { choosePlatform } from "./choose.ts";
import type { Context } from "./context.ts";
import type { ImageRecord, KeptManifest } from "./contract.ts";
import { samePlatform } from "./platform.ts";

/** One manifest of a kept index with what it says. */
export interface KeptImage {
	readonly descriptor: Descriptor;
	readonly config: Descriptor;
	readonly layers: readonly Descriptor[];
}

/** The index that an image is kept with: by the name it is asked for, or by any of its names when that was an id. */
export function keptIndexOf(context: Context, image: ImageRecord, ref?: string): string | undefined {
	const names = references(image);
	const asked =
		ref === undefined || ref.startsWith("sha256:") || /^[0-9a-f]{64}$/.test(ref) ? undefined : storedName(ref);
	if (asked !== undefined && names.includes(asked)) return context.kept.indexOf(asked);
	return names.map((name) => context.kept.indexOf(name)).find((index) => index !== undefined);
}

/** The manifests of a kept index, in its order; those of nested indexes where they stand. */
export function keptImages(context: Context, index: string): KeptImage[] {
	const value = parseManifestOrIndex(new TextDecoder().decode(context.blobs.document(index)), index);
	if (!("manifests" in value)) return [];
	return value.manifests.flatMap((descriptor) => {
		if (!context.blobs.has(descriptor.digest)) return [];
		if (isIndexType(descriptor.mediaType)) return keptImages(context, descriptor.digest);
		const json = new TextDecoder().decode(context.blobs.document(descriptor.digest));
		const inner = parseManifestOrIndex(json, descriptor.digest);
		if ("manifests" in inner) return keptImages(context, descriptor.digest);
		return [{ descriptor, config: inner.config, layers: inner.layers }];
	});
}

/** The kept manifest for a platform: exactly that one, not one that would run as well. */
export function keptPlatform(context: Context, index: string, platform: Platform): KeptImage | undefined {
	const images = keptImages(context, index);
	const chosen = choosePlatform(
		images.map(({ descriptor }) => descriptor),
		platform,
	);
	if (!chosen?.platform || !samePlatform(chosen.platform, platform)) return undefined;
	return images.find(({ descriptor }) => descriptor.digest === chosen.digest);
}

/** What a platform's image would be if it were unpacked: the one that is, or one with nothing but its configuration. */
export function keptRecord(context: Context, image: ImageRecord, kept: KeptImage): ImageRecord {
	const unpacked = context.catalog.get(kept.config.digest);
	if (unpacked) return { ...unpacked, tags: image.tags, digests: image.digests };
	const configJson = new TextDecoder().decode(context.blobs.document(kept.config.digest));
	const config = parseImageConfig(configJson);
	const { created = image.created } = config;
	return { ...image, id: kept.config.digest, configJson, config, chain: [], size: contentSize(context, kept), created };
}

/** Contract: Images.keptManifests. */
export function keptManifests(context: Context, image: ImageRecord): readonly KeptManifest[] {
	const index = keptIndexOf(context, image);
	if (index === undefined) return [];
	return keptImages(context, index).map((kept) => {
		const { digest, mediaType, size, platform, annotations } = kept.descriptor;
		return {
			digest,
			mediaType,
			size,
			platform,
			imageId: kept.config.digest,
			contentSize: contentSize(context, kept),
			attestationFor:
				annotations?.["vnd.docker.reference.type"] === "attestation-manifest"
					? (annotations["vnd.docker.reference.digest"] ?? "")
					: undefined,
		};
	});
}

/** Bytes of the manifest and all it needs, packed. */
function contentSize(context: Context, { descriptor, config, layers }: KeptImage): number {
	const parts = [...new Set([descriptor, config, ...layers].map(({ digest }) => digest))];
	return parts.filter((digest) => context.blobs.has(digest)).reduce((sum, one) => sum + context.blobs.size(one), 0);
}

/** Manifests by digest and blobs from what is kept, the rest from the registry. */
export function localFirst({
	registry,
	blobs,
}: Pick<Context, "registry" | "blobs">): Pick<Registry, "manifest" | "blob"> {
	return {
		async manifest(reference: Reference, options: RegistryOptions) {
			const { digest } = reference;
			if (digest === undefined || !blobs.has(digest)) return await registry.manifest(reference, options);
			const bytes = blobs.document(digest);
			return { mediaType: documentType(bytes, digest), digest, bytes };
		},
		blob(repository, blob, options) {
			const isHere = blobs.has(blob.digest) && blobs.size(blob.digest) === blob.size;
			return isHere ? blobs.read(blob.digest) : registry.blob(repository, blob, options);
		},
	};
}

/** What a document says it is; OCI lets it leave that out. */
export function documentType(bytes: Uint8Array, digest: string): string {
	const value = parseManifestOrIndex(new TextDecoder().decode(bytes), digest);
	const kind = "manifests" in value ? "index" : "manifest";
	return value.mediaType || `application/vnd.oci.image.${kind}.v1+json`;
}
