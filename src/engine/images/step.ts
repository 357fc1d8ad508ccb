import { digestOf } from "../../oci/digest.ts";
import { nowNano } from "../../shared/time.ts";
import { EMPTY_LAYER } from "./commit.ts";
import { type Context, saveImage } from "./context.ts";
import type { ImageRecord, StepRequest } from "./contract.ts";

/** Contract: Images.addStep. */
export async function addStep(context: Context, request: StepRequest): Promise<ImageRecord> {
	const parent = request.parent === undefined ? undefined : context.catalog.resolve(request.parent);
	const chain = parent?.chain ?? [];
	await using _parent = context.layers.hold(chain);
	await using added = request.layer
		? await context.layers.ingest({ parentChainId: chain.at(-1), source: { body: request.layer } })
		: undefined;
	const diffId = added?.diffId === EMPTY_LAYER ? undefined : added?.diffId;
	const configJson = configOf(parent, request, diffId);
	const id = digestOf(configJson);
	saveImage(context, { id, configJson }, []);
	context.builds?.put(id, request.parent ?? "", request.cacheKey, Date.now());
	context.catalog.refresh();
	return context.catalog.resolve(id);
}

/** Contract: Images.findStep. */
export function findStep(context: Context, parent: string | undefined, cacheKey: string): ImageRecord | undefined {
	const id = context.builds?.find(parent ?? "", cacheKey);
	return id === undefined ? undefined : context.catalog.get(id);
}

function configOf(parent: ImageRecord | undefined, request: StepRequest, diffId: string | undefined): string {
	const { os, architecture, variant } = parent?.config ?? request.platform;
	const created = nowNano();
	const line = request.historyLine ?? {
		created,
		...(request.author && { author: request.author }),
		created_by: request.createdBy,
		...(request.comment && { comment: request.comment }),
		...(diffId === undefined && { empty_layer: true }),
	};
	const diffIds = parent?.config.rootfs.diff_ids ?? [];
	return JSON.stringify({
		architecture,
		...(variant && { variant }),
		os,
		...(request.author && { author: request.author }),
		...(request.containerId && { container: request.containerId }),
		created,
		config: request.config,
		rootfs: { type: "layers", diff_ids: diffId === undefined ? diffIds : [...diffIds, diffId] },
		history: [...(parent?.config.history ?? []), ...(request.unrecorded ? [] : [line])],
	});
}
