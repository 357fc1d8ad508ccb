import type { Builds } from "../../engine/build/contract.ts";
import type { Images } from "../../engine/images/contract.ts";
import type { Volumes } from "../../engine/volumes/contract.ts";
import { buildCacheView } from "../build/cache.ts";
import type { ContainerList } from "../containers/list.ts";
import { invalid } from "../errors.ts";
import { asOf, imageSummary } from "../images/view.ts";
import { volumeUsageView } from "../volumes/view.ts";

const TYPES = ["container", "image", "volume", "build-cache"];

/** `GET /system/df`; `type` (repeatable) limits it to some kinds of objects, the others are null as dockerd's. */
export async function diskUsage(
	{ images, volumes, list, builds }: { images: Images; volumes: Volumes; list: ContainerList; builds?: Builds },
	query: URLSearchParams,
	minor = 51,
) {
	const asked = query.getAll("type").flatMap((text) => text.split(","));
	const unknown = asked.find((type) => !TYPES.includes(type));
	if (unknown !== undefined) throw invalid(`unknown object type: ${unknown}`);
	const wants = (type: string) => asked.length === 0 || asked.includes(type);
	const usage = wants("image") ? images.usage() : undefined;
	const rows = (found: typeof usage) =>
		images
			.list()
			.map((image) =>
				asOf(minor, imageSummary(image, found?.sharedSizes.get(image.id) ?? 0, images.userCount(image.id))),
			);
	const cache = wants("build-cache") ? ((await builds?.cacheUsage()) ?? []).map(buildCacheView) : null;
	return {
		LayersSize: usage?.layersSize ?? 0,
		Images: usage ? rows(usage) : null,
		Containers: wants("container") ? JSON.parse((await list.draw("all=1&size=1", minor)).toString()) : null,
		Volumes: wants("volume") ? (await volumes.usage()).map(volumeUsageView) : null,
		BuildCache: cache,
		...(minor < 42 && { BuilderSize: (cache ?? []).reduce((sum, { Size }) => sum + Size, 0) }),
	};
}
