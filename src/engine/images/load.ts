import type { Archive } from "../../drivers/content/driver.ts";
import { chainIds } from "../../oci/digest.ts";
import { hostPlatform, parsePlatform } from "../../oci/manifest.ts";
import { EngineError } from "../../shared/errors.ts";
import { type ArchivedImage, readArchive } from "./archive.ts";
import { type Context, publish, saveImage } from "./context.ts";

/** Contract: Images.load. */
export async function* loadImages(
	context: Context,
	body: AsyncIterable<Uint8Array>,
	options: { quiet: boolean; platform?: string },
): AsyncIterable<Record<string, unknown>> {
	const platform = options.platform ? parsePlatform(options.platform) : hostPlatform();
	await using archive = await context.content.spoolArchive(body);
	const found = await readArchive(archive, platform);
	{
		await using _hold = context.layers.hold(found.flatMap((image) => chainIds(image.config.rootfs.diff_ids)));
		for (const image of found) await extractAll(context, archive, image);
		for (const image of found) saveImage(context, image, image.tags);
	}
	for (const image of found) {
		publish(context, "load", image.id, { name: image.tags[0] ?? image.id });
		for (const tag of image.tags) yield { stream: `Loaded image: ${tag}\n` };
		if (image.tags.length === 0) yield { stream: `Loaded image ID: ${image.id}\n` };
	}
}

async function extractAll(context: Context, archive: Archive, image: ArchivedImage): Promise<void> {
	const diffIds = image.config.rootfs.diff_ids;
	const chain = chainIds(diffIds);
	for (const [i, name] of image.layers.entries()) {
		const chainId = chain[i] ?? "";
		// Known layers may be left out of an archive, but a damaged one is only read when it is new.
		if (context.snapshotter.has(chainId)) continue;
		const file = archive.file(name);
		if (!file) throw new EngineError("invalid", `invalid archive: layer ${name} is missing`);
		await context.snapshotter.extract({
			chainId,
			parentChainId: chain[i - 1],
			diffId: diffIds[i] ?? "",
			source: { path: file.path },
		});
	}
}
