import type { Writable } from "node:stream";
import tar from "tar-stream";
import { type Platform, parsePlatform } from "../../oci/manifest.ts";
import { familiarString, parseReference, repositoryOf } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import type { Context } from "./context.ts";
import type { ImageRecord } from "./contract.ts";
import { keptImages, keptIndexOf, keptPlatform } from "./kept.ts";
import { requirePlatform } from "./platform.ts";
import {
	archiveEntries,
	type Entry,
	keptIndexImage,
	keptPlatformImage,
	type SavedImage,
	unpackedImage,
} from "./save-entries.ts";

interface Chosen {
	readonly image: ImageRecord;
	readonly tags: readonly string[];
	/** The index that it is kept with. */
	readonly index?: string;
}

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
	const platform = options.platform ? parsePlatform(options.platform) : undefined;
	const saved = chosen.map((one) => savedImage(context, one, platform));
	return archive(context, chosen, saved);
}

/** An image that is kept with all of its platforms is saved so, byte for byte; `platform` picks one of them. */
function savedImage(context: Context, { image, tags, index }: Chosen, platform: Platform | undefined): SavedImage {
	if (index !== undefined) {
		const kept = platform
			? keptPlatform(context, index, platform)
			: keptImages(context, index).find(({ config }) => config.digest === image.id);
		if (kept) return platform ? keptPlatformImage(context, kept, tags) : keptIndexImage(context, index, kept, tags);
	}
	if (platform) requirePlatform(image, tags[0] ?? image.id, platform);
	return unpackedImage(image, tags, context.snapshotter);
}

async function* archive(
	context: Context,
	chosen: readonly Chosen[],
	saved: readonly SavedImage[],
): AsyncIterable<Uint8Array> {
	await using _hold = context.layers.hold(chosen.flatMap(({ image }) => image.chain));
	const parts = chosen.flatMap(({ index }) => (index === undefined ? [] : context.kept.blobs(index)));
	using _blobs = context.layers.holdBlobs(parts.map(({ digest }) => digest));
	yield* tarOf(archiveEntries(saved));
	for (const { image } of chosen) {
		context.events.publish("image", "save", image.id, { ...image.config.config?.Labels, name: image.id });
	}
}

/** By name with a tag: that tag; by name alone: all tags of the repository; by id or digest: the image without a name. */
function chooseImages(context: Context, refs: readonly string[]): Chosen[] {
	const chosen = new Map<string, { image: ImageRecord; tags: Set<string>; index?: string }>();
	const add = (image: ImageRecord, tags: readonly string[], index: string | undefined) => {
		const key = `${image.id} ${index ?? ""}`;
		const entry = chosen.get(key) ?? { image, tags: new Set<string>(), index };
		for (const tag of tags) entry.tags.add(tag);
		chosen.set(key, entry);
	};
	for (const ref of refs) {
		const named = tagsNamed(context, ref);
		if (named.length === 0) {
			const image = resolveNameless(context, ref);
			add(image, [], keptIndexOf(context, image, ref));
		}
		for (const [image, tag] of named) add(image, [tag], context.kept.indexOf(tag));
	}
	return [...chosen.values()].map(({ image, tags, index }) => ({ image, tags: [...tags].sort(), index }));
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
