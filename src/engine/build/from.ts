import { EngineError, messageOf } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import type { ImageRecord } from "../images/contract.ts";
import { baseImage } from "./base-image.ts";
import type { Build } from "./build-state.ts";
import { StepFailed } from "./command-failed.ts";
import { namedContext } from "./named-context.ts";

/** The files of a stage, a named context or an image, by the word after `--from=`: mounted once for the build, for reading. */
export async function rootFrom(build: Build, from: string): Promise<string> {
	const named = isStage(build, from) ? undefined : await namedContext(build, from);
	if (named && "context" in named) return await named.context.root();
	const image = named?.image ?? (await stageOrImage(build, from));
	const known = build.mounted.get(image.id) ?? mountForReading(build, image);
	build.mounted.set(image.id, known);
	return await known;
}

/** The same as an image; undefined: a named context that is none. */
export async function imageFrom(build: Build, from: string): Promise<ImageRecord | undefined> {
	const named = isStage(build, from) ? undefined : await namedContext(build, from);
	if (named) return "image" in named ? named.image : undefined;
	return await stageOrImage(build, from);
}

/** Mounts an image's files until the build ends. What is written there is lost. */
export async function mountForReading(build: Build, image: ImageRecord): Promise<string> {
	const { snapshotter } = build.parts;
	const id = `build-${createId().slice(0, 32)}`;
	await snapshotter.prepare(id, image.chain);
	build.cleanup.defer(() => snapshotter.remove(id));
	return snapshotter.mount(id);
}

async function stageOrImage(build: Build, from: string): Promise<ImageRecord> {
	try {
		const stage = stageNamed(build, from);
		if (!stage && /^\d+$/.test(from)) throw new EngineError("invalid", "index out of bounds");
		if (!stage) return await baseImage(build, from, undefined);
		const { image } = await stage.built();
		if (!image) throw new EngineError("invalid", "the stage has no files");
		return image;
	} catch (cause) {
		// What is wrong with a stage has been said.
		if (cause instanceof StepFailed || build.signal.aborted) throw cause;
		throw new EngineError("invalid", `invalid from flag value ${from}: ${messageOf(cause)}`, { cause });
	}
}

function isStage(build: Build, name: string): boolean {
	return /^\d+$/.test(name) || stageNamed(build, name) !== undefined;
}

/** One of the stages before this one, by name or number. */
export function stageNamed(build: Build, name: string): Build["stages"][number] | undefined {
	const earlier = build.stages.slice(0, build.index);
	return /^\d+$/.test(name)
		? earlier[Number(name)]
		: earlier.find((stage) => stage.name !== "" && stage.name === name.toLowerCase());
}
