import { digestOf } from "../../oci/digest.ts";
import { hostPlatform, parsePlatform } from "../../oci/manifest.ts";
import { familiarString } from "../../oci/reference.ts";
import { taggedReference } from "./catalog.ts";
import { applyChanges } from "./changes.ts";
import { type Context, publish, saveImage } from "./context.ts";
import type { Images } from "./contract.ts";

/** Contract: Images.importTar. */
export async function importTar(
	context: Context,
	body: AsyncIterable<Uint8Array>,
	options: Parameters<Images["importTar"]>[1],
): Promise<string> {
	const platform = options.platform ? parsePlatform(options.platform) : hostPlatform();
	const run = applyChanges({}, options.changes);
	const names = options.repo ? [familiarString(taggedReference(options.repo, options.tag))] : [];
	await using layer = await context.content.spoolLayer(body);
	const { diffId } = layer;
	await using _hold = context.layers.hold([diffId]);
	await context.snapshotter.extract({ chainId: diffId, diffId, source: { path: layer.path } });
	const created = new Date().toISOString();
	const configJson = JSON.stringify({
		...platform,
		created,
		config: run,
		rootfs: { type: "layers", diff_ids: [diffId] },
		history: [{ created, comment: options.message ?? "" }],
	});
	const id = digestOf(configJson);
	saveImage(context, { id, configJson }, names);
	publish(context, "import", id, { name: id });
	return id;
}
