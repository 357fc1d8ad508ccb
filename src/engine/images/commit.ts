import { digestOf } from "../../oci/digest.ts";
import type { ImageRunConfig } from "../../oci/image.ts";
import { familiarString } from "../../oci/reference.ts";
import { nowNano } from "../../shared/time.ts";
import { taggedReference } from "./catalog.ts";
import { applyChanges } from "./changes.ts";
import { type Context, publish, saveImage } from "./context.ts";
import type { CommitRequest } from "./contract.ts";

/** sha256 of the tar that has no entry: two blocks of zeros. dockerd adds no layer for it. */
export const EMPTY_LAYER = digestOf(new Uint8Array(1024));

/** Contract: Images.commit. */
export async function commitImage(context: Context, request: CommitRequest): Promise<{ id: string; name?: string }> {
	const parent = context.catalog.resolve(request.parent);
	const name = request.repo ? familiarString(taggedReference(request.repo, request.tag)) : undefined;
	const run = applyChanges(request.config, request.changes);
	await using _parent = context.layers.hold(parent.chain);
	await using added = await context.layers.ingest({
		parentChainId: parent.chain.at(-1),
		source: { body: request.layer },
	});
	const empty = added.diffId === EMPTY_LAYER;
	const configJson = configOf(parent.config, request, run, empty ? undefined : added.diffId);
	const id = digestOf(configJson);
	saveImage(context, { id, configJson }, name === undefined ? [] : [name]);
	publish(context, "create", id, { name: id });
	if (name !== undefined) publish(context, "tag", id, { name });
	return { id, name };
}

/** The parent's configuration with one more layer and one more line of history. */
function configOf(
	parent: Readonly<Record<string, unknown>> | object,
	request: CommitRequest,
	config: ImageRunConfig,
	diffId: string | undefined,
): string {
	const base = parent as {
		architecture: string;
		os: string;
		variant?: string;
		rootfs: { diff_ids: readonly string[] };
		history?: readonly object[];
	};
	const created = nowNano();
	const line = {
		created,
		...(request.author && { author: request.author }),
		created_by: request.command,
		...(request.comment && { comment: request.comment }),
		...(diffId === undefined && { empty_layer: true }),
	};
	return JSON.stringify({
		architecture: base.architecture,
		...(base.variant && { variant: base.variant }),
		os: base.os,
		...(request.author && { author: request.author }),
		...(request.comment && { comment: request.comment }),
		container: request.containerId,
		created,
		config,
		rootfs: { type: "layers", diff_ids: [...base.rootfs.diff_ids, ...(diffId === undefined ? [] : [diffId])] },
		history: [...(base.history ?? []), line],
	});
}
