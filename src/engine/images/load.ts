import type { Archive } from "../../drivers/content/driver.ts";
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
		await using archive = await context.content.spoolArchive(body);
		const found = await readArchive(archive, platform);
		const chain = found.flatMap((image) => chainIds(image.config.rootfs.diff_ids));
		await using _hold = context.layers.hold(chain);
		for (const image of found) await extractAll(context, archive, image, options.quiet ? undefined : output);
		for (const image of found) saveImage(context, image, image.tags);
		for (const image of found) {
			publish(context, "load", image.id, { name: image.tags[0] ?? image.id });
			for (const tag of image.tags) output.line({ stream: `Loaded image: ${tag}\n` });
			if (image.tags.length === 0) output.line({ stream: `Loaded image ID: ${image.id}\n` });
		}
	});
}

async function extractAll(
	context: Context,
	archive: Archive,
	image: ArchivedImage,
	output: Output | undefined,
): Promise<void> {
	const diffIds = image.config.rootfs.diff_ids;
	const chain = chainIds(diffIds);
	for (const [i, name] of image.layers.entries()) {
		const chainId = chain[i] ?? "";
		const diffId = diffIds[i] ?? "";
		// Known layers may be left out of an archive, but a damaged one is only read when it is new.
		if (context.snapshotter.has(chainId)) continue;
		const file = archive.file(name);
		if (!file) throw new EngineError("invalid", `invalid archive: layer ${name} is missing`);
		const report = (current: number) =>
			output?.layer(diffId.slice(7, 19), { status: "Loading layer", current, total: file.size });
		await context.snapshotter.extract({
			chainId,
			parentChainId: chain[i - 1],
			diffId,
			source: { path: file.path },
			onProgress: report,
		});
		report(file.size);
	}
}
