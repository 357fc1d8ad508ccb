import type { BlobStore, Content } from "../../drivers/content/driver.ts";
import type { Registry } from "../../drivers/registry/driver.ts";
import type { Snapshotter } from "../../drivers/snapshotter/driver.ts";
import { chainIds } from "../../oci/digest.ts";
import { parseStoredConfig } from "../../oci/image-config.ts";
import { nowNano } from "../../shared/time.ts";
import type { BuildStore } from "../../store/build.ts";
import type { DistributionStore } from "../../store/distribution.ts";
import type { ImageStore } from "../../store/images.ts";
import type { KeptBlob, KeptIndexStore } from "../../store/kept-indexes.ts";
import type { Events } from "../events.ts";
import type { Catalog } from "./catalog.ts";
import type { ImageUsers } from "./contract.ts";
import type { Layers } from "./layers.ts";
import type { LayerState } from "./progress.ts";
import type { Slots, Transfers } from "./transfers.ts";

/** What the images noun is built from. */
export interface ImagesParts {
	readonly store: ImageStore;
	readonly distribution: DistributionStore;
	/** How builds made images; undefined: there are no builds. */
	readonly builds?: BuildStore;
	readonly snapshotter: Snapshotter;
	readonly content: Content;
	/** Parts of the indexes that are kept with all of their platforms. */
	readonly blobs: BlobStore;
	readonly kept: KeptIndexStore;
	readonly registry: Registry;
	/** The bytes behind a URL. */
	readonly download: (url: string, signal?: AbortSignal) => AsyncIterable<Uint8Array>;
	readonly events: Pick<Events, "publish">;
	readonly users: ImageUsers;
	/** chainIDs that containers stand on. */
	readonly chainsInUse: () => Iterable<string>;
}

/** What the files of this folder share. */
export interface Context extends ImagesParts {
	readonly catalog: Catalog;
	readonly layers: Layers;
	/** Layers on their way here, by chainID. */
	readonly transfers: Transfers<LayerState>;
	/** For the layers of all pulls together. */
	readonly slots: Slots;
}

/** An index that is here whole. */
export interface WholeIndex {
	readonly digest: string;
	/** Left out when they are stored already. */
	readonly parts?: readonly KeptBlob[];
}

/**
 * Puts the image into the store, once all of its layers are there, and moves these names to it, and to the index that it is kept with. At once,
 * so that no sweep comes between.
 */
export function saveImage(
	context: Context,
	image: { readonly id: string; readonly configJson: string },
	names: readonly string[],
	index?: WholeIndex,
): void {
	const chain = chainIds(parseStoredConfig(image.configJson).rootfs.diff_ids);
	const size = chain.reduce((sum, chainId) => sum + context.snapshotter.size(chainId), 0);
	context.store.save({ id: image.id, config: image.configJson, size }, names, nowNano());
	if (index?.parts) context.kept.save(index.digest, index.parts);
	context.kept.name(names, index?.digest);
	context.catalog.refresh();
}

/** One event of an image, with its labels as docker has it. `id` is a name where a registry is concerned: `imageId` says then whose labels. */
export function publish(
	context: Pick<Context, "events" | "catalog">,
	action: string,
	id: string,
	attributes: Record<string, string>,
	imageId = id,
): void {
	const labels = context.catalog.get(imageId)?.config.config?.Labels;
	context.events.publish("image", action, id, { ...labels, ...attributes });
}
