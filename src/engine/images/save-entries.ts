import type { Snapshotter } from "../../drivers/snapshotter/driver.ts";
import { digestOf } from "../../oci/digest.ts";
import { parseReference, repositoryOf } from "../../oci/reference.ts";
import { isManifestType } from "./choose.ts";
import type { Context } from "./context.ts";
import type { ImageRecord } from "./contract.ts";
import type { KeptImage } from "./kept.ts";

/** One file of an archive. `body` gives exactly `size` bytes. */
export interface Entry {
	readonly name: string;
	readonly size: number;
	body(): AsyncIterable<Uint8Array>;
}

interface Pointer {
	readonly mediaType: string;
	readonly digest: string;
	readonly size: number;
}

/** What an archive has of one image. */
export interface SavedImage {
	readonly tags: readonly string[];
	/** What index.json points at. */
	readonly descriptor: Pointer;
	/** For manifest.json: of the one platform that readers of it get. */
	readonly config: string;
	readonly layers: readonly Pointer[];
	/** Small files, which stand first. */
	readonly documents: readonly Entry[];
	readonly blobs: readonly Entry[];
}

const LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar";
const CONFIG_TYPE = "application/vnd.oci.image.config.v1+json";
const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";

/** An image of unpacked layers: their plain tars, and a manifest that names them. */
export function unpackedImage(image: ImageRecord, tags: readonly string[], snapshotter: Snapshotter): SavedImage {
	const layers = image.config.rootfs.diff_ids.map((digest, i) => ({
		mediaType: LAYER_TYPE,
		digest,
		size: snapshotter.tarSize(image.chain[i] ?? ""),
	}));
	const config = text(pathOf(image.id), image.configJson);
	const json = JSON.stringify({
		schemaVersion: 2,
		mediaType: MANIFEST_TYPE,
		config: { mediaType: CONFIG_TYPE, digest: image.id, size: config.size },
		layers,
	});
	const manifest = text(pathOf(digestOf(json)), json);
	return {
		tags,
		descriptor: { mediaType: MANIFEST_TYPE, digest: digestOf(json), size: manifest.size },
		config: image.id,
		layers,
		documents: [config, manifest],
		blobs: layers.map(({ digest, size }, i) => ({
			name: pathOf(digest),
			size,
			body: () => snapshotter.assemble(image.chain[i] ?? "", "none").body,
		})),
	};
}

/** A kept index with all of its platforms, as it came; `image` is the one that manifest.json shows. */
export function keptIndexImage(context: Context, index: string, image: KeptImage, tags: readonly string[]): SavedImage {
	const parts = context.kept.blobs(index);
	const [top] = parts;
	const configs = new Set([image.config.digest]);
	const isDocument = ({ digest, mediaType }: Pointer) =>
		(mediaType !== "" && isManifestType(mediaType)) || /config/.test(mediaType) || configs.has(digest);
	return {
		tags,
		descriptor: { mediaType: top?.mediaType ?? "", digest: index, size: top?.size ?? 0 },
		config: image.config.digest,
		layers: image.layers,
		documents: parts.filter(isDocument).map((part) => blobEntry(context, part.digest)),
		blobs: parts.filter((part) => !isDocument(part)).map((part) => blobEntry(context, part.digest)),
	};
}

/** One platform of a kept index, as it came. */
export function keptPlatformImage(context: Context, image: KeptImage, tags: readonly string[]): SavedImage {
	const { mediaType, digest } = image.descriptor;
	const own = [digest, image.config.digest];
	return {
		tags,
		descriptor: { mediaType, digest, size: context.blobs.size(digest) },
		config: image.config.digest,
		layers: image.layers,
		documents: own.map((one) => blobEntry(context, one)),
		blobs: image.layers.map((one) => blobEntry(context, one.digest)),
	};
}

/** All files of an archive: what tells of layers stands before them, so that a reader need not wait. */
export function archiveEntries(images: readonly SavedImage[]): Entry[] {
	const layout = {
		schemaVersion: 2,
		mediaType: "application/vnd.oci.image.index.v1+json",
		manifests: images.flatMap(({ descriptor, tags }) =>
			tags.length === 0 ? [descriptor] : tags.map((tag) => ({ ...descriptor, annotations: annotationsOf(tag) })),
		),
	};
	const documents = new Map(images.flatMap((image) => image.documents.map((entry) => [entry.name, entry] as const)));
	const blobs = new Map(images.flatMap((image) => image.blobs.map((entry) => [entry.name, entry] as const)));
	return [
		text("oci-layout", '{"imageLayoutVersion":"1.0.0"}'),
		text("index.json", JSON.stringify(layout)),
		text("manifest.json", JSON.stringify(images.map(listEntry))),
		text("repositories", JSON.stringify(repositoriesOf(images))),
		...[...documents.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
		...[...blobs.values()].filter(({ name }) => !documents.has(name)),
	];
}

function listEntry({ config, layers, tags }: SavedImage): object {
	return {
		Config: pathOf(config),
		RepoTags: tags.length > 0 ? tags : null,
		Layers: layers.map(({ digest }) => pathOf(digest)),
		LayerSources: Object.fromEntries(
			layers.map(({ mediaType, size, digest }) => [digest, { mediaType, size, digest }]),
		),
	};
}

function repositoriesOf(images: readonly SavedImage[]): Record<string, Record<string, string>> {
	const repositories: Record<string, Record<string, string>> = {};
	for (const { tags, layers } of images) {
		for (const tag of tags) {
			const { tag: version = "" } = parseReference(tag);
			const top = layers.at(-1)?.digest.slice("sha256:".length) ?? "";
			repositories[repositoryOf(tag)] = { ...repositories[repositoryOf(tag)], [version]: top };
		}
	}
	return repositories;
}

function annotationsOf(tag: string): Record<string, string> {
	const { domain, path, tag: version = "" } = parseReference(tag);
	return { "io.containerd.image.name": `${domain}/${path}:${version}`, "org.opencontainers.image.ref.name": version };
}

function blobEntry({ blobs }: Context, digest: string): Entry {
	return { name: pathOf(digest), size: blobs.size(digest), body: () => blobs.read(digest) };
}

function pathOf(digest: string): string {
	return `blobs/${digest.replace(":", "/")}`;
}

function text(name: string, content: string): Entry {
	const bytes = new TextEncoder().encode(content);
	return {
		name,
		size: bytes.length,
		body: async function* () {
			yield bytes;
		},
	};
}
