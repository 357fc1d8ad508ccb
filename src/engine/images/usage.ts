import type { Context } from "./context.ts";
import type { ImageUsage } from "./contract.ts";

/** Contract: Images.usage. */
export function imagesUsage(context: Context): ImageUsage {
	const images = context.catalog.list();
	const counts = new Map<string, number>();
	for (const { chain } of images)
		for (const chainId of new Set(chain)) counts.set(chainId, (counts.get(chainId) ?? 0) + 1);
	const shared = images.map(({ id, chain }) => {
		const common = chain.filter((chainId) => (counts.get(chainId) ?? 0) > 1);
		return [id, common.reduce((sum, chainId) => sum + context.snapshotter.size(chainId), 0)] as const;
	});
	return { sharedSizes: new Map(shared), layersSize: context.layers.totalSize() };
}
