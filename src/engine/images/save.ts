import type { Writable } from "node:stream";
import tar from "tar-stream";
import type { Snapshotter } from "../../drivers/snapshotter/driver.ts";
import { digestOf } from "../../oci/digest.ts";
import { parsePlatform } from "../../oci/manifest.ts";
import { familiarString, parseReference, repositoryOf } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import type { Context } from "./context.ts";
import type { ImageRecord } from "./contract.ts";
import { requirePlatform } from "./platform.ts";

/** One file of an archive. `body` gives exactly `size` bytes. */
interface Entry {
	readonly name: string;
	readonly size: number;
	body(): AsyncIterable<Uint8Array>;
}

interface Chosen {
	readonly image: ImageRecord;
	readonly tags: readonly string[];
}

const LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar";
const CONFIG_TYPE = "application/vnd.oci.image.config.v1+json";
const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";

/**
 * Contract: Images.save. Docker's archive as of version 25: an OCI layout with manifest.json and repositories beside it. What tells of the
 * layers stands before them, so that a reader need not wait. The same images always give the same bytes.
 */
export function saveImages(
	context: Context,
	refs: readonly string[],
	options: { platform?: string },
): AsyncIterable<Uint8Array> {
	const chosen = chooseImages(context, refs);
	if (options.platform) {
		const platform = parsePlatform(options.platform);
		for (const { image, tags } of chosen) requirePlatform(image, tags[0] ?? image.id, platform);
	}
	const entries = [...documentsOf(chosen, context.snapshotter), ...layersOf(chosen, context.snapshotter)];
	return archive(context, chosen, entries);
}

async function* archive(
	context: Context,
	chosen: readonly Chosen[],
	entries: readonly Entry[],
): AsyncIterable<Uint8Array> {
	await using _hold = context.layers.hold(chosen.flatMap(({ image }) => image.chain));
	yield* tarOf(entries);
	for (const { image } of chosen) {
		context.events.publish("image", "save", image.id, { ...image.config.config?.Labels, name: image.id });
	}
}

/** By name with a tag: that tag; by name alone: all tags of the repository; by id or digest: the image without a name. */
function chooseImages(context: Context, refs: readonly string[]): Chosen[] {
	const chosen = new Map<string, { image: ImageRecord; tags: Set<string> }>();
	const add = (image: ImageRecord, tags: readonly string[]) => {
		const entry = chosen.get(image.id) ?? { image, tags: new Set<string>() };
		for (const tag of tags) entry.tags.add(tag);
		chosen.set(image.id, entry);
	};
	for (const ref of refs) {
		const named = tagsNamed(context, ref);
		if (named.length === 0) add(resolveNameless(context, ref), []);
		for (const [image, tag] of named) add(image, [tag]);
	}
	return [...chosen.values()].map(({ image, tags }) => ({ image, tags: [...tags].sort() }));
}

/** A name without a tag stands for all tags: `latest` is not what was missing. */
function resolveNameless(context: Context, ref: string): ImageRecord {
	const image = context.catalog.find(ref);
	if (image) return image;
	throw new EngineError("not-found", `No such image: ${ref}`);
}

function tagsNamed(context: Context, ref: string): [ImageRecord, string][] {
	if (ref.startsWith("sha256:") || /^[0-9a-f]{64}$/.test(ref)) return [];
	const reference = parseReference(ref);
	if (reference.digest !== undefined) return [];
	const name = familiarString(reference);
	const matches = (tag: string) => (reference.tag === undefined ? repositoryOf(tag) === name : tag === name);
	return context.catalog
		.list()
		.flatMap((image) => image.tags.filter(matches).map((tag): [ImageRecord, string] => [image, tag]));
}

/** index.json, manifest.json and what they point at, but the layers. */
function documentsOf(chosen: readonly Chosen[], snapshotter: Snapshotter): Entry[] {
	const blobs = new Map<string, Entry>();
	const index: object[] = [];
	const list: object[] = [];
	const repositories: Record<string, Record<string, string>> = {};
	for (const { image, tags } of chosen) {
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
		for (const entry of [config, manifest]) blobs.set(entry.name, entry);
		const descriptor = { mediaType: MANIFEST_TYPE, digest: digestOf(json), size: manifest.size };
		if (tags.length === 0) index.push(descriptor);
		for (const tag of tags) index.push({ ...descriptor, annotations: annotationsOf(tag) });
		list.push({
			Config: config.name,
			RepoTags: tags.length > 0 ? tags : null,
			Layers: layers.map(({ digest }) => pathOf(digest)),
			LayerSources: Object.fromEntries(
				layers.map(({ mediaType, size, digest }) => [digest, { mediaType, size, digest }]),
			),
		});
		for (const tag of tags) {
			const { tag: version = "" } = parseReference(tag);
			const top = layers.at(-1)?.digest.slice(7) ?? "";
			repositories[repositoryOf(tag)] = { ...repositories[repositoryOf(tag)], [version]: top };
		}
	}
	const layout = { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: index };
	return [
		text("oci-layout", '{"imageLayoutVersion":"1.0.0"}'),
		text("index.json", JSON.stringify(layout)),
		text("manifest.json", JSON.stringify(list)),
		text("repositories", JSON.stringify(repositories)),
		...[...blobs.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
	];
}

function annotationsOf(tag: string): Record<string, string> {
	const { domain, path, tag: version = "" } = parseReference(tag);
	return { "io.containerd.image.name": `${domain}/${path}:${version}`, "org.opencontainers.image.ref.name": version };
}

function layersOf(chosen: readonly Chosen[], snapshotter: Snapshotter): Entry[] {
	const layers = new Map<string, string>();
	for (const { image } of chosen) {
		for (const [i, diffId] of image.config.rootfs.diff_ids.entries()) layers.set(diffId, image.chain[i] ?? "");
	}
	return [...layers].map(([diffId, chainId]) => ({
		name: pathOf(diffId),
		size: snapshotter.tarSize(chainId),
		body: () => snapshotter.assemble(chainId, "none").body,
	}));
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

/** A tar of these files, all of the same time and owner. Abandoning it ends the bodies under way. */
export async function* tarOf(entries: readonly Entry[]): AsyncIterable<Uint8Array> {
	const pack = tar.pack();
	const feeding = feed(pack, entries).catch((error: unknown) =>
		pack.destroy(error instanceof Error ? error : new Error(String(error))),
	);
	try {
		for await (const chunk of pack) yield chunk as Uint8Array;
	} finally {
		pack.destroy();
		await feeding;
	}
}

async function feed(pack: tar.Pack, entries: readonly Entry[]): Promise<void> {
	const header = { mode: 0o644, uid: 0, gid: 0, mtime: new Date(0) };
	for (const { name, size, body } of entries) {
		const sink = pack.entry({ ...header, name, size }) as unknown as Writable;
		const closed = Promise.withResolvers<void>();
		sink.once("error", closed.reject);
		sink.once("close", () => closed.resolve());
		for await (const chunk of body()) {
			if (sink.write(chunk)) continue;
			await Promise.race([new Promise((resolve) => sink.once("drain", resolve)), closed.promise]);
			if (sink.destroyed) return;
		}
		sink.end();
		await closed.promise;
	}
	pack.finalize();
}
