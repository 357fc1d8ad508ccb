import { isDeepStrictEqual } from "node:util";
import type { ImageRecord } from "../images/contract.ts";
import type { Build, StageState } from "./build-state.ts";
import { keyOf, type StepWords } from "./step.ts";

/**
 * `--cache-from`: an image that begins as the stage does, in layers and history, and whose next line of history is this step, lends its
 * layer. Source: Docker's classic builder, image/cache.
 */
export async function findOffered(build: Build, state: StageState, words: StepWords): Promise<ImageRecord | undefined> {
	const history = state.image?.config.history ?? [];
	const diffIds = state.image?.config.rootfs.diff_ids ?? [];
	for (const offer of build.offered) {
		const next = offer.config.history?.[history.length];
		if (!next || next.created_by !== words.shown) continue;
		const begins =
			isDeepStrictEqual(offer.config.history?.slice(0, history.length), history) &&
			isDeepStrictEqual(offer.config.rootfs.diff_ids.slice(0, diffIds.length), diffIds);
		const chainId = offer.chain[diffIds.length];
		if (!begins || (!next.empty_layer && chainId === undefined)) continue;
		const layer =
			next.empty_layer || chainId === undefined ? undefined : build.parts.snapshotter.assemble(chainId, "none");
		return await build.parts.images.addStep({
			parent: state.image?.id,
			layer: layer?.body,
			config: state.run,
			author: state.author,
			createdBy: words.shown,
			historyLine: next,
			platform: build.platform,
			cacheKey: keyOf(build, state, words),
		});
	}
	return undefined;
}
