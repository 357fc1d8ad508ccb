import type { Snapshotter } from "../../drivers/snapshotter/driver.ts";
import { ZERO_TIME } from "../../shared/time.ts";
import type { ImageRecord, Images } from "./contract.ts";

/** Contract: Images.history. */
export function historyOf(image: ImageRecord, snapshotter: Pick<Snapshotter, "size">): ReturnType<Images["history"]> {
	let layer = 0;
	const rows = (image.config.history ?? []).map((entry) => {
		// One that is kept packed has no layers here.
		const chainId = entry.empty_layer ? undefined : image.chain[layer++];
		return {
			Id: "<missing>",
			Created: seconds(entry.created),
			CreatedBy: entry.created_by ?? "",
			Tags: null as string[] | null,
			Size: chainId === undefined ? 0 : snapshotter.size(chainId),
			Comment: entry.comment ?? "",
		};
	});
	const top = rows.reverse()[0];
	if (top) {
		top.Id = image.id;
		top.Tags = image.tags.length > 0 ? [...image.tags] : null;
	}
	return rows;
}

function seconds(time: string | undefined): number {
	const millis = Date.parse(time ?? ZERO_TIME);
	return Number.isNaN(millis) ? 0 : Math.floor(millis / 1000);
}
