import { hostPlatform, type Platform } from "../../oci/manifest.ts";
import { parseTagged } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import type { ImageRecord } from "../images/contract.ts";
import { baseImage } from "./base-image.ts";
import { BuildArgs } from "./build-args.ts";
import type { Build, BuiltStage, StageState } from "./build-state.ts";
import { StepFailed } from "./command-failed.ts";
import { dispatch } from "./dispatch.ts";
import { parseTrigger } from "./dockerfile.ts";
import { stageNamed } from "./from.ts";
import type { Dockerfile, Instruction, Stage } from "./instructions.ts";
import { namedContext } from "./named-context.ts";
import { inStep, isStep, stepNames } from "./progress.ts";
import { startConfig } from "./run-config.ts";
import { shownId } from "./step.ts";
import { expandWord } from "./words.ts";

/** Builds the last stage, and those that it needs; the classic builder builds all, in order. Its image. Throws docker's texts. */
export async function buildStages(build: Build, file: Dockerfile): Promise<ImageRecord> {
	const total = file.metaArgs.length + file.stages.reduce((sum, { instructions }) => sum + 1 + instructions.length, 0);
	let step = 0;
	const announce = (text: string) => build.output.text(`Step ${++step}/${total} : ${text}\n`);
	const first = await firstArgs(build, file, announce);
	checkNames(file.stages);
	const work: Work = (one, stage) => buildStage(one, stage, first.nextStage(), announce);
	const { image } = await (build.request.buildKit ? buildNeeded : buildAll)(build, file, work);
	const unused = first.unused();
	if (unused.length > 0) {
		await build.output.text(`[Warning] One or more build-args [${unused.join(" ")}] were not consumed\n`);
	}
	if (!image) throw new EngineError("invalid", "No image was generated. Is your Dockerfile empty?");
	return image;
}

/** What FROM lines may use: the platforms, and what is declared before the first. */
async function firstArgs(
	build: Build,
	file: Dockerfile,
	announce: (text: string) => Promise<void>,
): Promise<BuildArgs> {
	const first = new BuildArgs(build.request.buildArgs);
	for (const [name, value] of platformArgs(build)) first.declareMeta(name, value);
	for (const { text, pairs } of file.metaArgs) {
		await announce(text);
		for (const { name, value } of pairs) {
			first.declareMeta(
				name,
				value === undefined ? value : expandWord(value, (one) => first.metaValue(one), build.escapeChar),
			);
		}
	}
	return first;
}

/** Source: Dockerfile reference, "Automatic platform ARGs in the global scope". */
function platformArgs(build: Build): (readonly [string, string])[] {
	const of = (prefix: string, { os, architecture, variant }: Platform) =>
		[
			[`${prefix}PLATFORM`, [os, architecture, variant].filter(Boolean).join("/")],
			[`${prefix}OS`, os],
			[`${prefix}ARCH`, architecture],
			[`${prefix}VARIANT`, variant ?? ""],
		] as const;
	return [...of("BUILD", hostPlatform()), ...of("TARGET", build.platform)];
}

function checkNames(stages: readonly Stage[]): void {
	for (const [i, { name }] of stages.entries()) {
		if (name !== "" && stages.findIndex((stage) => stage.name === name) < i) {
			throw new EngineError("invalid", `${name} stage name already used`);
		}
	}
}

type Work = (build: Build, stage: Stage) => Promise<BuiltStage>;

async function buildAll(build: Build, file: Dockerfile, work: Work): Promise<BuiltStage> {
	let last: BuiltStage | undefined;
	for (const [index, stage] of file.stages.entries()) {
		const made = await work({ ...build, index }, stage);
		last = made;
		build.stages.push({ name: stage.name, built: async () => made });
	}
	return lastOf(last);
}

/** A stage is built when another first asks for it; those that do not need each other are built side by side. The first failure ends all. */
async function buildNeeded(build: Build, file: Dockerfile, work: Work): Promise<BuiltStage> {
	const failed = new AbortController();
	const started = new Map<number, Promise<BuiltStage>>();
	const signal = AbortSignal.any([build.signal, failed.signal]);
	let reason: { readonly error: unknown } | undefined;
	const start = (index: number, stage: Stage) => {
		const known = started.get(index);
		if (known) return known;
		// Those that were begun before are waited for, nobody else.
		if (reason) return Promise.reject(reason.error);
		const one = { ...build, index, signal, containers: [], now: {} };
		const working = work(one, stage).catch((error: unknown) => {
			reason ??= { error };
			failed.abort();
			throw error;
		});
		working.catch(() => undefined);
		started.set(index, working);
		return working;
	};
	build.stages.push(...file.stages.map((stage, i) => ({ name: stage.name, built: () => start(i, stage) })));
	const target = build.stages.at(-1);
	await target?.built().catch(() => undefined);
	await Promise.allSettled(started.values());
	if (reason) throw reason.error;
	return lastOf(await target?.built());
}

function lastOf(stage: BuiltStage | undefined): BuiltStage {
	if (!stage) throw new EngineError("invalid", "no build stage in current context");
	return stage;
}

/** The stages that an instruction names, begun. */
function neededBy(build: Build, instruction: Instruction): Promise<unknown>[] {
	const names =
		instruction.do === "COPY"
			? [instruction.from ?? ""]
			: instruction.do === "RUN"
				? instruction.mounts.map((mount) => /(?:^|,)from=([^,]*)/i.exec(mount)?.[1] ?? "")
				: [];
	return names.flatMap((name) => {
		const built = stageNamed(build, name)?.built();
		built?.catch(() => undefined);
		return built ? [built] : [];
	});
}

async function buildStage(
	build: Build,
	stage: Stage,
	args: BuildArgs,
	announce: (text: string) => Promise<void>,
): Promise<BuiltStage> {
	await announce(stage.text);
	for (const instruction of stage.instructions) neededBy(build, instruction);
	const { state, nameOf } = await beginStage(build, stage, args);
	await build.output.text(` ---> ${shownId(state)}\n`);
	for (const instruction of stage.instructions) {
		if (build.signal.aborted) throw new EngineError("cancelled", "Build cancelled");
		await announce(instruction.text);
		await dispatchShown(build, state, instruction, nameOf);
		await build.output.text(` ---> ${shownId(state)}\n`);
	}
	if (state.image) await build.output.line({ aux: { ID: state.image.id } });
	return { image: state.image, args };
}

async function dispatchShown(
	build: Build,
	state: StageState,
	instruction: Instruction,
	nameOf: (text: string) => string,
): Promise<void> {
	const name = isStep(instruction) ? nameOf(instruction.text) : undefined;
	await Promise.all(neededBy(build, instruction));
	await inStep(build, name, async () => {
		try {
			await dispatch(build, state, instruction);
		} catch (error) {
			if (!build.request.buildKit || build.signal.aborted) throw error;
			throw new StepFailed(error, { ...build.dockerfile, line: instruction.line });
		}
	});
}

async function beginStage(build: Build, stage: Stage, args: BuildArgs) {
	const expand = (word: string) => expandWord(word, (name) => args.metaValue(name), build.escapeChar);
	const name = expand(stage.base);
	if (name === "") throw new EngineError("invalid", `base name (${stage.base}) should not be blank`);
	const platform = stage.platform === undefined ? undefined : checkPlatform(expand(stage.platform));
	// A number is no stage here.
	const earlier = /^\d+$/.test(name) ? undefined : stageNamed(build, name);
	const below = await earlier?.built();
	if (below && build.request.buildKit) args.inherit(below.args);
	const image = earlier ? below?.image : await namedImage(build, name, platform);
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
	const nameOf = stepNames(stage, { index: build.index, stages: build.stageCount, based }, triggers);
	if (based) await inStep(build, nameOf(`FROM ${shownName(name)}`), async (step) => step?.cached());
	for (const trigger of triggers) await dispatchShown(build, state, trigger, nameOf);
	return { state, nameOf };
}

async function namedImage(build: Build, name: string, platform: string | undefined): Promise<ImageRecord | undefined> {
	if (name === "scratch") return undefined;
	const named = await namedContext(build, name);
	if (named && "image" in named) return named.image;
	if (named)
		throw new EngineError(
			"unsupported",
			`build context ${name} is no image: FROM needs docker-image://, files can be copied from it`,
		);
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
	// They stand in no Dockerfile, and may copy what that does not.
	build.context.follow?.([]);
	await build.output.text(`# Executing ${triggers.length} build trigger${triggers.length > 1 ? "s" : ""}\n`);
	return await Promise.all(triggers.map(parseTrigger));
}

function checkPlatform(platform: string): string {
	const parts = platform.split("/");
	if (platform !== "" && parts.length <= 3 && parts.every((part) => /^[A-Za-z0-9_.-]+$/.test(part))) return platform;
	const why = `${JSON.stringify(platform)}: cannot parse platform specifier: invalid argument`;
	throw new EngineError("invalid", `failed to parse platform ${platform}: ${why}`);
}
