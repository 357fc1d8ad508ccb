import type { SolvedImage } from "../../engine/build/contract.ts";
import { familiarString, parseTagged } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import type { BuildJob } from "./jobs.ts";
import type { BuildKitParts } from "./parts.ts";
import { shown } from "./shown.ts";

/** One `--output`. */
export interface ExportRequest {
	readonly Type: string;
	readonly Attrs: ReadonlyMap<string, string>;
}

/** Does what `--output` asks for; says what the client writes to its metadata file. */
export async function exportResult(
	parts: BuildKitParts,
	job: BuildJob,
	result: SolvedImage,
	{ Type, Attrs }: ExportRequest,
): Promise<Record<string, string>> {
	switch (Type) {
		case "moby":
		case "image":
			return await exportImage(parts, job, result, Attrs);
		default:
			throw new EngineError(
				"unsupported",
				`exporter ${JSON.stringify(Type)} is not supported: moby, local and tar are`,
			);
	}
}

function exportImage(
	{ images }: BuildKitParts,
	job: BuildJob,
	{ image }: SolvedImage,
	attrs: ReadonlyMap<string, string>,
): Promise<Record<string, string>> {
	const names = (attrs.get("name") ?? "").split(",").filter((name) => name !== "");
	const tags = names.map((name) => parseTagged(name));
	return shown(job.progress, "exporting to image", async (step) => {
		step.status("exporting layers", { current: 0, done: true });
		step.status(`writing image ${image.id}`, { current: 0, done: true });
		for (const tag of tags) {
			images.tag(image.id, familiarString({ ...tag, tag: undefined }), tag.tag ?? "latest");
			step.status(`naming to ${tag.domain}/${tag.path}:${tag.tag ?? "latest"}`, { current: 0, done: true });
		}
		return {
			"containerimage.config.digest": image.id,
			"containerimage.digest": image.id,
			...(names.length > 0 && { "image.name": names.join(",") }),
		};
	});
}
