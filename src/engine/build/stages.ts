import { EngineError } from "../../shared/errors.ts";
import type { ImageRecord } from "../images/contract.ts";
import { baseImage } from "./base-image.ts";
import { BuildArgs } from "./build-args.ts";
import type { Build, StageState } from "./build-state.ts";
import { dispatch } from "./dispatch.ts";
import { parseTrigger } from "./dockerfile.ts";
import type { Dockerfile, Stage } from "./instructions.ts";
import { startConfig } from "./run-config.ts";
import { shownId } from "./step.ts";
import { expandWord } from "./words.ts";

/** Builds all stages in order; the last one's image. Throws docker's texts. */
export async function buildStages(build: Build, file: Dockerfile): Promise<ImageRecord> {
	const total = file.metaArgs.length + file.stages.reduce((sum, { instructions }) => sum + 1 + instructions.length, 0);
	let step = 0;
	const announce = (text: string) => build.output.text(`Step ${++step}/${total} : ${text}\n`);
	const first = new BuildArgs(build.request.buildArgs);
	for (const { text, pairs } of file.metaArgs) {
		await announce(text);
		for (const { name, value } of pairs) {
			first.declareMeta(
				name,
				value === undefined ? value : expandWord(value, (one) => first.metaValue(one), build.escapeChar),
			);
		}
	}
	let image: ImageRecord | undefined;
	for (const stage of file.stages) {
		if (stage.name !== "" && build.stages.some(({ name }) => name === stage.name)) {
			throw new EngineError("invalid", `${stage.name} stage name already used`);
		}
		image = await buildStage(build, stage, first.nextStage(), announce);
		build.stages.push({ name: stage.name, imageId: image?.id });
	}
	const unused = first.unused();
	if (unused.length > 0) {
		await build.output.text(`[Warning] One or more build-args [${unused.join(" ")}] were not consumed\n`);
	}
	if (!image) throw new EngineError("invalid", "No image was generated. Is your Dockerfile empty?");
	return image;
}

async function buildStage(
	build: Build,
	stage: Stage,
	args: BuildArgs,
	announce: (text: string) => Promise<void>,
): Promise<ImageRecord | undefined> {
	await announce(stage.text);
	const state = await beginStage(build, stage, args);
	await build.output.text(` ---> ${shownId(state)}\n`);
	for (const instruction of stage.instructions) {
		if (build.signal.aborted) throw new EngineError("cancelled", "Build cancelled");
		await announce(instruction.text);
		await dispatch(build, state, instruction);
		await build.output.text(` ---> ${shownId(state)}\n`);
	}
	if (state.image) await build.output.line({ aux: { ID: state.image.id } });
	return state.image;
}

async function beginStage(build: Build, stage: Stage, args: BuildArgs): Promise<StageState> {
	const expand = (word: string) => expandWord(word, (name) => args.metaValue(name), build.escapeChar);
	const name = expand(stage.base);
	if (name === "") throw new EngineError("invalid", `base name (${stage.base}) should not be blank`);
	const platform = stage.platform === undefined ? undefined : checkPlatform(expand(stage.platform));
	const earlier = build.stages.find((one) => one.name !== "" && one.name === name.toLowerCase());
	const image = earlier ? stageImage(build, earlier.imageId) : await namedImage(build, name, platform);
	const state: StageState = {
		image,
		run: startConfig(image?.config.config),
		args,
		author: "",
		cmdSet: false,
		cacheMissed: false,
	};
	await runTriggers(build, state);
	return state;
}

function stageImage(build: Build, imageId: string | undefined): ImageRecord | undefined {
	return imageId === undefined ? undefined : build.parts.images.resolve(imageId);
}

async function namedImage(build: Build, name: string, platform: string | undefined): Promise<ImageRecord | undefined> {
	return name === "scratch" ? undefined : await baseImage(build, name, platform);
}

/** The base image's ONBUILD instructions come first, and do not stay in what is built. */
async function runTriggers(build: Build, state: StageState): Promise<void> {
	const triggers = state.run.OnBuild ?? [];
	if (triggers.length === 0) return;
	state.run.OnBuild = undefined;
	await build.output.text(`# Executing ${triggers.length} build trigger${triggers.length > 1 ? "s" : ""}\n`);
	for (const trigger of triggers) await dispatch(build, state, await parseTrigger(trigger));
}

function checkPlatform(platform: string): string {
	const parts = platform.split("/");
	if (platform !== "" && parts.length <= 3 && parts.every((part) => /^[A-Za-z0-9_.-]+$/.test(part))) return platform;
	const why = `${JSON.stringify(platform)}: cannot parse platform specifier: invalid argument`;
	throw new EngineError("invalid", `failed to parse platform ${platform}: ${why}`);
}
