import type { BuildProgress, BuildStep } from "../../engine/build/contract.ts";

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
