import { shortId } from "../../shared/id.ts";
import type { Build, StageState } from "./build-state.ts";
import { findOffered } from "./cache-from.ts";
import { cacheKeyOf, commentOf } from "./run-config.ts";

/** How a step is told from others, and how the history shows it. */
export interface StepWords {
	readonly key: readonly string[];
	readonly shown: string;
	/** The history has no line of it. */
	readonly unrecorded?: boolean;
}

/** The words of a step that runs nothing. `buildkit`: how BuildKit's history shows it, where that is otherwise; `unrecorded`: that it does not; `key`: what else tells it from others. */
export function wordsOfStep(
	build: Build,
	{ run }: StageState,
	comment: string,
	more: {
		readonly buildkit?: string;
		readonly unrecorded?: boolean;
		readonly key?: string;
		readonly makesFiles?: boolean;
	} = {},
): StepWords {
	const key = more.key === undefined ? [] : [more.key];
	if (build.request.buildKit) {
		const shown = more.buildkit ?? comment;
		return { key: ["buildkit", shown, ...key], shown, unrecorded: more.unrecorded };
	}
	const words = commentOf(run, comment, more.makesFiles);
	return { key: [...words, ...key], shown: words.join(" ") };
}

/** Takes the step's image from the cache when it is there; whether it was. */
export async function useCache(build: Build, state: StageState, words: StepWords): Promise<boolean> {
	const { images } = build.parts;
	if (build.request.noCache || isFiltered(build) || state.cacheMissed) return false;
	const found =
		images.findStep(state.image?.id, keyOf(build, state, words)) ?? (await findOffered(build, state, words));
	state.cacheMissed = found === undefined;
	if (!found) return false;
	await build.output.text(" ---> Using cache\n");
	build.now.step?.cached();
	state.image = found;
	build.inUse.add(found.id);
	return true;
}

/** `--no-cache-filter` names this stage. */
function isFiltered({ request, stages, index }: Build): boolean {
	const name = stages[index]?.name ?? "";
	return name !== "" && (request.buildKit?.noCacheFilter.includes(name) ?? false);
}

/** Makes the step's image. `layer` is its tar; undefined: only the configuration is another. */
export async function commitStep(
	build: Build,
	state: StageState,
	words: StepWords,
	made: { readonly layer?: AsyncIterable<Uint8Array>; readonly containerId?: string } = {},
): Promise<void> {
	const { images } = build.parts;
	state.image = await images.addStep({
		parent: state.image?.id,
		config: state.run,
		author: state.author,
		createdBy: words.shown,
		...(words.unrecorded && { unrecorded: true }),
		...(build.request.buildKit && { comment: "buildkit.dockerfile.v0" }),
		platform: build.platform,
		cacheKey: keyOf(build, state, words),
		...made,
	});
	build.inUse.add(state.image.id);
}

/** A step that only changes the configuration. */
export async function configStep(build: Build, state: StageState, words: StepWords): Promise<void> {
	if (!(await useCache(build, state, words))) await commitStep(build, state, words);
}

export function shownId(state: StageState): string {
	return state.image ? shortId(state.image.id) : "";
}

export function keyOf(build: Build, state: StageState, { key }: StepWords): string {
	const { os, architecture, variant = "" } = state.image?.config ?? build.platform;
	return cacheKeyOf(state.run, key, `${os}/${architecture}/${variant}`);
}
