import { EngineError, messageOf } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import type { ImageRecord } from "../images/contract.ts";
import { baseImage } from "./base-image.ts";
import type { Build } from "./build-state.ts";

/** The files of a stage or an image, by the word after `--from=`: mounted once for the build, for reading. */
export async function rootFrom(build: Build, from: string): Promise<string> {
	const image = await stageOrImage(build, from);
	const known = build.mounted.get(image.id) ?? mountForReading(build, image);
	build.mounted.set(image.id, known);
	return await known;
}

/** Mounts an image's files until the build ends. What is written there is lost. */
export async function mountForReading(build: Build, image: ImageRecord): Promise<string> {
	const { snapshotter } = build.parts;
	const id = `build-${createId().slice(0, 32)}`;
	await snapshotter.prepare(id, image.chain);
	build.cleanup.defer(() => snapshotter.remove(id));
	return snapshotter.mount(id);
}

/** A stage by name or number, else an image. Throws "invalid" in docker's words. */
export async function stageOrImage(build: Build, from: string): Promise<ImageRecord> {
	try {
		const stage = stageNamed(build, from);
		if (!stage && /^\d+$/.test(from)) throw new EngineError("invalid", "index out of bounds");
		if (!stage) return await baseImage(build, from, undefined);
		if (stage.imageId === undefined) throw new EngineError("invalid", "the stage has no files");
		return build.parts.images.resolve(stage.imageId);
	} catch (cause) {
		throw new EngineError("invalid", `invalid from flag value ${from}: ${messageOf(cause)}`, { cause });
	}
}

/** A stage that is done. */
export function stageNamed(build: Build, name: string): Build["stages"][number] | undefined {
	return /^\d+$/.test(name)
		? build.stages[Number(name)]
		: build.stages.find((stage) => stage.name !== "" && stage.name === name.toLowerCase());
}
