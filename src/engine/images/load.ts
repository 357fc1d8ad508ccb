import type { Archive } from "../../drivers/content/driver.ts";
import type { ExtractRequest, StagedLayer } from "../../drivers/snapshotter/driver.ts";
import { chainIds } from "../../oci/digest.ts";
import { hostPlatform, parsePlatform } from "../../oci/manifest.ts";
import { EngineError } from "../../shared/errors.ts";
import { type ArchivedImage, readArchive } from "./archive.ts";
import { type Context, publish, saveImage } from "./context.ts";
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
		await using archive = await context.content.spoolArchive(body, (bytes) =>
			context.snapshotter.stage({ body: bytes }),
		);
		const found = await readArchive(archive, platform);
		const chain = found.flatMap((image) => chainIds(image.config.rootfs.diff_ids));
		await using _hold = context.layers.hold(chain);
		const named: Named = new Map();
		for (const image of found) await extractAll(context, archive, image, named, options.quiet ? undefined : output);
		for (const image of found) saveImage(context, image, image.tags);
		for (const image of found) {
			publish(context, "load", image.id, { name: image.id });
			for (const tag of image.tags) output.line({ stream: `Loaded image: ${tag}\n` });
			if (image.tags.length === 0) output.line({ stream: `Loaded image ID: ${image.id}\n` });
		}
	});
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
		// Known layers may be left out of an archive, but a damaged one is only read when it is new.
		if (context.snapshotter.has(layer.chainId)) continue;
		const staged = archive.layer(name);
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
	const { chainId, diffId } = layer;
	if (staged.diffId !== diffId) {
		const why = `layer has diffID ${staged.diffId}, expected ${diffId}`;
		throw new EngineError("invalid", `cannot unpack layer ${diffId}: ${why}`);
	}
	const twin = named.get(staged);
	if (twin !== undefined) {
		// The same layer over other ones: its tar is put together again.
		await context.snapshotter.extract({ ...layer, source: { body: context.snapshotter.assemble(twin, "none").body } });
		return;
	}
	await staged.adopt(chainId);
	named.set(staged, chainId);
}
