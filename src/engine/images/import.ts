import { digestOf } from "../../oci/digest.ts";
import { hostPlatform, parsePlatform } from "../../oci/manifest.ts";
import { familiarString } from "../../oci/reference.ts";
import { nowNano } from "../../shared/time.ts";
import { taggedReference } from "./catalog.ts";
import { applyChanges } from "./changes.ts";
import { type Context, publish, saveImage } from "./context.ts";
import type { ImportOptions } from "./contract.ts";

/** Contract: Images.importTar. */
export async function importTar(
	context: Context,
	body: AsyncIterable<Uint8Array>,
	options: ImportOptions,
): Promise<string> {
	const platform = options.platform ? parsePlatform(options.platform) : hostPlatform();
	const run = applyChanges({}, options.changes);
	const names = options.repo ? [familiarString(taggedReference(options.repo, options.tag))] : [];
	await using layer = await context.layers.ingest({ source: { body } });
	const created = nowNano();
	const configJson = JSON.stringify({
		...platform,
		created,
		config: run,
		rootfs: { type: "layers", diff_ids: [layer.diffId] },
		history: [{ created, comment: options.message ?? "" }],
	});
	const id = digestOf(configJson);
	saveImage(context, { id, configJson }, names);
	publish(context, "import", id, { name: id });
	return id;
}
