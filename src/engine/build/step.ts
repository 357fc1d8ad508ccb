import { shortId } from "../../shared/id.ts";
import type { Build, StageState } from "./build-state.ts";
import { findOffered } from "./cache-from.ts";
import { cacheKeyOf } from "./run-config.ts";

/** Takes the step's image from the cache when it is there; whether it was. */
export async function useCache(build: Build, state: StageState, command: readonly string[]): Promise<boolean> {
	const { images } = build.parts;
	if (build.request.noCache || state.cacheMissed) return false;
	const found =
		images.findStep(state.image?.id, keyOf(build, state, command)) ?? (await findOffered(build, state, command));
	state.cacheMissed = found === undefined;
	if (!found) return false;
	await build.output.text(" ---> Using cache\n");
	build.now.step?.cached();
	state.image = found;
	build.inUse.add(found.id);
	return true;
}

/** Makes the step's image. `layer` is its tar; undefined: only the configuration is another. */
export async function commitStep(
	build: Build,
	state: StageState,
	command: readonly string[],
	made: { readonly layer?: AsyncIterable<Uint8Array>; readonly containerId?: string } = {},
): Promise<void> {
	const { images } = build.parts;
	state.image = await images.addStep({
		parent: state.image?.id,
		config: state.run,
		author: state.author,
		createdBy: command.join(" "),
		platform: build.platform,
		cacheKey: keyOf(build, state, command),
		...made,
	});
	build.inUse.add(state.image.id);
}

/** A step that only changes the configuration. */
export async function configStep(build: Build, state: StageState, command: readonly string[]): Promise<void> {
	if (!(await useCache(build, state, command))) await commitStep(build, state, command);
}

export function shownId(state: StageState): string {
	return state.image ? shortId(state.image.id) : "";
}

export function keyOf(build: Build, state: StageState, command: readonly string[]): string {
	const { os, architecture, variant = "" } = state.image?.config ?? build.platform;
	return cacheKeyOf(state.run, command, `${os}/${architecture}/${variant}`);
}
