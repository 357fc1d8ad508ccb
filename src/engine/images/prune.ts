import type { Context } from "./context.ts";
import type { ImageRecord, Removed } from "./contract.ts";
import { deleteWithParents, hasChildren } from "./remove.ts";

/**
 * Contract: Images.prune. What containers use stays; the layers of interrupted pulls go too. `reclaimed` is true: the sizes of the layers
 * that went.
 */
export async function pruneImages(
	context: Context,
	options: { danglingOnly: boolean; accepts: (image: ImageRecord) => boolean },
): Promise<{ deleted: Removed[]; reclaimed: number }> {
	const before = context.layers.totalSize();
	const deleted: Removed[] = [];
	for (const image of context.catalog.list()) {
		if (!context.catalog.get(image.id) || context.users(image.id).length > 0 || !options.accepts(image)) continue;
		if (options.danglingOnly && image.tags.length > 0) continue;
		// The steps of a build stay as long as what was built from them, and go with it.
		if (hasChildren(context, image.id)) continue;
		deleted.push(...(await deleteWithParents(context, image)));
	}
	context.layers.dropIdleLeases();
	await context.layers.sweep();
	const reclaimed = Math.max(0, before - context.layers.totalSize());
	context.events.publish("image", "prune", "", { reclaimed: String(reclaimed) });
	return { deleted, reclaimed };
}
