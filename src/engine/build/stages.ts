import { parseTagged } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import type { ImageRecord } from "../images/contract.ts";
import { baseImage } from "./base-image.ts";
import { BuildArgs } from "./build-args.ts";
import type { Build, StageState } from "./build-state.ts";
import { StepFailed } from "./command-failed.ts";
import { dispatch } from "./dispatch.ts";
import { parseTrigger } from "./dockerfile.ts";
import type { Dockerfile, Instruction, Stage } from "./instructions.ts";
import { inStep, isStep, stepNames } from "./progress.ts";
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
	const { state, nameOf } = await beginStage(build, stage, args);
	await build.output.text(` ---> ${shownId(state)}\n`);
	for (const instruction of stage.instructions) {
		if (build.signal.aborted) throw new EngineError("cancelled", "Build cancelled");
		await announce(instruction.text);
		await dispatchShown(build, state, instruction, nameOf);
		await build.output.text(` ---> ${shownId(state)}\n`);
	}
	if (state.image) await build.output.line({ aux: { ID: state.image.id } });
	return state.image;
}

async function dispatchShown(
	build: Build,
	state: StageState,
	instruction: Instruction,
	nameOf: (text: string) => string,
): Promise<void> {
	const name = isStep(instruction) ? nameOf(instruction.text) : undefined;
	await inStep(build, name, async () => {
		try {
			await dispatch(build, state, instruction);
		} catch (error) {
			if (!build.request.buildKit || build.signal.aborted) throw error;
			throw new StepFailed(error, build.dockerfile, instruction.line);
		}
	});
}

async function beginStage(build: Build, stage: Stage, args: BuildArgs) {
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
	const triggers = await takeTriggers(build, state);
	const based = earlier === undefined && image !== undefined;
	const nameOf = stepNames(stage, { index: build.stages.length, stages: build.stageCount, based }, triggers);
	if (based) await inStep(build, nameOf(`FROM ${shownName(name)}`), async (step) => step?.cached());
	for (const trigger of triggers) await dispatchShown(build, state, trigger, nameOf);
	return { state, nameOf };
}

function stageImage(build: Build, imageId: string | undefined): ImageRecord | undefined {
	return imageId === undefined ? undefined : build.parts.images.resolve(imageId);
}

async function namedImage(build: Build, name: string, platform: string | undefined): Promise<ImageRecord | undefined> {
	if (name === "scratch") return undefined;
	return await inStep(build, `[internal] load metadata for ${shownName(name)}`, () => baseImage(build, name, platform));
}

/** `docker.io/library/busybox:latest` */
function shownName(name: string): string {
	try {
		const { domain, path, tag, digest } = parseTagged(name);
		return `${domain}/${path}${tag ? `:${tag}` : ""}${digest ? `@${digest}` : ""}`;
	} catch {
		return name;
	}
}

/** The base image's ONBUILD instructions come first, and do not stay in what is built. */
async function takeTriggers(build: Build, state: StageState): Promise<Instruction[]> {
	const triggers = state.run.OnBuild ?? [];
	if (triggers.length === 0) return [];
	state.run.OnBuild = undefined;
	await build.output.text(`# Executing ${triggers.length} build trigger${triggers.length > 1 ? "s" : ""}\n`);
	return await Promise.all(triggers.map(parseTrigger));
}

function checkPlatform(platform: string): string {
	const parts = platform.split("/");
	if (platform !== "" && parts.length <= 3 && parts.every((part) => /^[A-Za-z0-9_.-]+$/.test(part))) return platform;
	const why = `${JSON.stringify(platform)}: cannot parse platform specifier: invalid argument`;
	throw new EngineError("invalid", `failed to parse platform ${platform}: ${why}`);
}
