import type { Archive } from "../../drivers/content/driver.ts";
import type { ExtractRequest, StagedLayer } from "../../drivers/snapshotter/driver.ts";
import { chainIds } from "../../oci/digest.ts";
import { hostPlatform, type Platform, parsePlatform } from "../../oci/manifest.ts";
import { EngineError } from "../../shared/errors.ts";
import { type ArchivedImage, readArchive } from "./archive.ts";
import { type Context, publish, saveImage, type WholeIndex } from "./context.ts";
import type { IndexContent } from "./keep.ts";
import { takeIndex, wholeIndexes } from "./load-kept.ts";
import { platformText, samePlatform } from "./platform.ts";
import { type Line, linesOf, type Output } from "./progress.ts";

/** Contract: Images.load. */
export function loadImages(
	context: Context,
	body: AsyncIterable<Uint8Array>,
	options: { quiet: boolean; platform?: string },
): AsyncIterable<Line> {
	const platform = options.platform ? parsePlatform(options.platform) : hostPlatform();
	return linesOf(undefined, async (output) => {
		// Layers come before the manifest that names them: they are unpacked as they come, and named after.
		await using archive = await context.content.spoolArchive(body, (bytes, name) => takeLayer(context, bytes, name));
		const indexes = await wholeIndexes(archive);
		const whole = new Set(indexes.keys());
		const isAsked = options.platform !== undefined;
		const all = await readArchive(archive, { platform, whole, isAsked });
		const found = isAsked ? ofPlatform(all, platform) : all;
		const chain = found.flatMap((image) => chainIds(image.config.rootfs.diff_ids));
		await using _hold = context.layers.hold(chain);
		const named: Named = new Map();
		for (const image of found) await extractAll(context, archive, image, named, options.quiet ? undefined : output);
		for (const line of renamed(context, found)) output.line(line);
		// With a platform one is asked for, and not the whole.
		await saveAll(context, archive, found, options.platform ? new Map() : indexes);
		for (const image of found) {
			publish(context, "load", image.id, { name: image.id });
			for (const tag of image.tags) output.line({ stream: `Loaded image: ${tag}\n` });
			if (image.tags.length === 0) output.line({ stream: `Loaded image ID: ${image.id}\n` });
		}
	});
}

/** Docker's words about images that lose a name to a loaded one. */
function renamed({ catalog }: Context, images: readonly ArchivedImage[]): Line[] {
	return images.flatMap(({ id, tags }) =>
		tags.flatMap((tag) => {
			const old = catalog.find(tag)?.id ?? id;
			const stream = `The image ${tag} already exists, renaming the old one with ID ${old} to empty string\n`;
			return old === id ? [] : [{ stream }];
		}),
	);
}

/** Those of the platform that was asked for; dockerd leaves the others out without a word. Throws "invalid" when none is left. */
function ofPlatform(images: readonly ArchivedImage[], platform: Platform): readonly ArchivedImage[] {
	const found = images.filter(({ config }) => samePlatform(config, platform));
	if (found.length === 0)
		throw new EngineError("invalid", `no image for platform ${platformText(platform)} in the archive`);
	return found;
}

/** The images, with the indexes that they are kept with. */
async function saveAll(
	context: Context,
	archive: LoadedArchive,
	images: readonly ArchivedImage[],
	indexes: ReadonlyMap<string, IndexContent>,
): Promise<void> {
	const digests = [...indexes.values()].flatMap(({ documents, blobs }) => [...documents, ...blobs]);
	using _hold = context.layers.holdBlobs(digests.map(({ digest }) => digest));
	const whole = new Map<string, WholeIndex>();
	for (const [digest, content] of indexes)
		whole.set(digest, { digest, parts: await takeIndex(context, archive, content) });
	for (const image of images) saveImage(context, image, image.tags, whole.get(image.index ?? ""));
}

/** What its name promises to be here already is only read, and compared with its digest: unpacking it again would be for nothing. */
async function takeLayer(context: Context, body: AsyncIterable<Uint8Array>, name: string): Promise<StagedLayer> {
	const { snapshotter, distribution, layers } = context;
	const hex = /^(?:blobs\/sha256\/)?([0-9a-f]{64})(?:\.tar)?$/.exec(name)?.[1];
	const digest = hex && `sha256:${hex}`;
	// A plain tar's own digest, or that of one compressed as a registry had it.
	const diffId = digest && [digest, distribution.diffIdOf(digest)].find((one) => one && snapshotter.find(one));
	const twin = diffId && snapshotter.find(diffId);
	if (!twin) return await snapshotter.stage({ body });
	const hold = layers.hold([twin]);
	try {
		const read = await snapshotter.measure({ body });
		return {
			diffId: read.digest === digest ? diffId : read.digest,
			async adopt(chainId) {
				await snapshotter.extract({ chainId, diffId, source: { body: snapshotter.assemble(twin, "none").body } });
			},
			[Symbol.asyncDispose]: () => hold[Symbol.asyncDispose](),
		};
	} catch (error) {
		await hold[Symbol.asyncDispose]();
		throw error;
	}
}

function requireDiffId(found: string, expected: string): void {
	if (found === expected) return;
	throw new EngineError("invalid", `cannot unpack layer ${expected}: layer has diffID ${found}, expected ${expected}`);
}

type LoadedArchive = Archive<StagedLayer>;

/** The chainIDs that layers of the archive have got. */
type Named = Map<StagedLayer, string>;

async function extractAll(
	context: Context,
	archive: LoadedArchive,
	image: ArchivedImage,
	named: Named,
	output: Output | undefined,
): Promise<void> {
	const diffIds = image.config.rootfs.diff_ids;
	const chain = chainIds(diffIds);
	for (const [i, name] of image.layers.entries()) {
		const layer = { chainId: chain[i] ?? "", parentChainId: chain[i - 1], diffId: diffIds[i] ?? "" };
		const staged = archive.layer(name);
		if (staged) requireDiffId((await staged.taken).diffId, layer.diffId);
		// Known layers may be left out of an archive.
		if (context.snapshotter.has(layer.chainId)) continue;
		const file = archive.file(name);
		const total = (staged ?? file)?.size ?? 0;
		const report = (current: number) =>
			output?.layer(layer.diffId.slice(7, 19), { status: "Loading layer", current, total });
		if (staged) await adopt(context, await staged.taken, layer, named);
		else if (file) await context.snapshotter.extract({ ...layer, source: { path: file.path }, onProgress: report });
		else throw new EngineError("invalid", `invalid archive: layer ${name} is missing`);
		report(total);
	}
}

async function adopt(
	context: Context,
	staged: StagedLayer,
	layer: Pick<ExtractRequest, "chainId" | "parentChainId" | "diffId">,
	named: Named,
): Promise<void> {
	const { chainId } = layer;
	const twin = named.get(staged);
	if (twin !== undefined) {
		// The same layer over other ones: its tar is put together again.
		await context.snapshotter.extract({ ...layer, source: { body: context.snapshotter.assemble(twin, "none").body } });
		return;
	}
	await staged.adopt(chainId);
	named.set(staged, chainId);
}
