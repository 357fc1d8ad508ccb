import type { SolvedImage } from "../../engine/build/contract.ts";
import { shown } from "../../engine/build/progress.ts";
import { familiarString, parseReference, parseTagged } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import { sendTar, sendTree } from "./export-files.ts";
import type { BuildJob } from "./jobs.ts";
import type { BuildKitParts } from "./parts.ts";

/** One `--output`. */
export interface ExportRequest {
	readonly Type: string;
	readonly Attrs: ReadonlyMap<string, string>;
}

/** Does what every `--output` asks for; says what the client writes to its metadata file. */
export async function exportAll(
	parts: BuildKitParts,
	job: BuildJob,
	result: SolvedImage,
	exporters: readonly ExportRequest[],
): Promise<Record<string, string>> {
	const response: Record<string, string> = {};
	for (const [number, exporter] of exporters.entries()) {
		Object.assign(response, await exportResult(parts, job, result, exporter, number));
	}
	return response;
}

async function exportResult(
	parts: BuildKitParts,
	job: BuildJob,
	result: SolvedImage,
	{ Type, Attrs }: ExportRequest,
	/** Its number among the exporters of the build. */
	number: number,
): Promise<Record<string, string>> {
	switch (Type) {
		case "moby":
		case "image":
			return await exportImage(parts, job, result, Attrs);
		case "local":
			return await exportFiles(job, result, number, { send: sendTree, shown: "copying files" });
		case "tar":
			return await exportFiles(job, result, number, { send: sendTar, shown: "sending tarball" });
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
	const tags = names.map((name) => ({ ...parseTagged(name), shown: parseReference(name).tag ?? "" }));
	return shown(job.progress, "exporting to image", async (step) => {
		step.status("exporting layers", { current: 0, done: true });
		step.status(`writing image ${image.id}`, { current: 0, done: true });
		for (const tag of tags) {
			images.tag(image.id, familiarString({ ...tag, tag: undefined }), tag.tag ?? "latest");
			step.status(`naming to ${tag.domain}/${tag.path}${tag.shown && `:${tag.shown}`}`, { current: 0, done: true });
		}
		return {
			"containerimage.config.digest": image.id,
			"containerimage.digest": image.id,
			...(names.length > 0 && { "image.name": names.join(",") }),
		};
	});
}

/** Sends the image's files to the client, which knows where they go. */
async function exportFiles(
	job: BuildJob,
	result: SolvedImage,
	number: number,
	how: { readonly send: typeof sendTar; readonly shown: string },
): Promise<Record<string, string>> {
	const { session } = await job.begun();
	const name = how.send === sendTar ? "exporting to client tarball" : "exporting to client directory";
	await shown(job.progress, name, async (step) => {
		await using files = await result.open();
		const call = session.send(number, job.signal);
		let [sent, told] = [0, 0];
		try {
			await how.send(call, files, (current) => {
				sent = current;
				if (current - told < TOLD_EVERY_BYTES) return;
				told = current;
				step.status(how.shown, { current });
			});
		} finally {
			call.cancel();
		}
		step.status(how.shown, { current: sent, done: true });
	});
	return {};
}

const TOLD_EVERY_BYTES = 1 << 20;
