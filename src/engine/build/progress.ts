import type { Build } from "./build-state.ts";
import type { BuildProgress, BuildStep } from "./contract.ts";
import type { Instruction, Stage } from "./instructions.ts";

/** Does something as a step that the client sees. */
export async function shown<T>(
	progress: BuildProgress,
	name: string,
	work: (step: BuildStep) => Promise<T>,
): Promise<T> {
	const step = progress.begin(name);
	try {
		const result = await work(step);
		step.end();
		return result;
	} catch (error) {
		step.end(error);
		throw error;
	}
}

/** Does a part of a build as a step that the client sees. `name` undefined, or a classic client: it sees none. */
export async function inStep<T>(
	build: Build,
	name: string | undefined,
	work: (step: BuildStep | undefined) => Promise<T>,
): Promise<T> {
	const { progress } = build.request.buildKit ?? {};
	if (name === undefined || !progress) return await work(undefined);
	return await shown(progress, name, async (step) => {
		const outer = build.now.step;
		build.now.step = step;
		try {
			return await work(step);
		} finally {
			build.now.step = outer;
		}
	});
}

/**
 * Names the steps of a stage as BuildKit does: `[2/3] RUN make`, with the stage's name before the numbers when there are several stages. What
 * only changes the configuration is no step.
 */
export function stepNames(
	stage: Stage,
	options: { readonly index: number; readonly stages: number; readonly based: boolean },
	triggers: readonly Instruction[],
) {
	const total = [...triggers, ...stage.instructions].filter(isStep).length + (options.based ? 1 : 0);
	const label = stage.name || (options.stages > 1 ? `stage-${options.index}` : "");
	let number = 0;
	return (text: string) => {
		number++;
		return `[${label && `${label} `}${String(number).padStart(String(total).length)}/${total}] ${text}`;
	};
}

/** Whether it makes files, so that BuildKit shows it. */
export function isStep({ do: what }: Instruction): boolean {
	return what === "RUN" || what === "COPY" || what === "ADD" || what === "WORKDIR";
}
