import { failureOf } from "./failure.ts";
import type { BuildJob } from "./jobs.ts";
import type { BuildKitParts } from "./parts.ts";

/** What a build begins with. */
export interface JobBeginning {
	/** Id of the client's session. */
	readonly session: string;
	readonly entitlements: readonly string[];
	/** The client has left or cancelled. */
	readonly signal: AbortSignal;
}

/** One build from its beginning to its end: what `work` makes of it, which is what its exporters say. Those who follow the job are told the end. */
export async function runJob(
	{ jobs, sessions }: BuildKitParts,
	job: BuildJob,
	{ session, entitlements, signal }: JobBeginning,
	work: () => Promise<Record<string, string>>,
): Promise<Record<string, string>> {
	const cancel = () => job.cancel();
	signal.addEventListener("abort", cancel);
	if (signal.aborted) cancel();
	try {
		job.begin(await sessions.get(session, job.signal), entitlements);
		const response = await work();
		jobs.end(job, { response });
		return response;
	} catch (error) {
		// Its steps are told to their ends.
		job.cancel();
		await job.settled();
		jobs.end(job, { response: {}, error: failureOf(error) });
		throw error;
	} finally {
		signal.removeEventListener("abort", cancel);
	}
}
