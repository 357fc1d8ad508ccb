import { CODES, GrpcError, type Method, serverStream, unary } from "./grpc.ts";
import type { BuildJob } from "./jobs.ts";
import { historyEvent, historyRequest, nothing, updateHistoryRequest } from "./messages.ts";
import type { BuildKitParts } from "./parts.ts";
import type { Decoded } from "./protobuf.ts";

const SERVICE = "/moby.buildkit.v1.Control";
type HistoryRequest = Decoded<typeof historyRequest>;
type HistoryEvent = Decoded<typeof historyEvent>;

/** BuildHistoryEventType. */
const [STARTED, COMPLETE] = [0, 1];

/** `docker buildx history`: the builds under way and the last that ended, for as long as the daemon runs. Their output is that of Status. */
export function historyMethods({ jobs }: BuildKitParts): [string, Method][] {
	return [
		[
			`${SERVICE}/ListenBuildHistory`,
			serverStream(historyRequest, historyEvent, async (request, send, call) => {
				const told = new Map<string, number>();
				while (!call.signal.aborted) {
					// Before the list is read: what changes while it is sent is not missed.
					const changed = jobs.changes.next(call.signal);
					for (const event of eventsOf(jobs.list(), request)) {
						const ref = event.record?.Ref ?? "";
						if (told.get(ref) === event.type) continue;
						told.set(ref, event.type);
						await send(event);
					}
					if (request.EarlyExit) return;
					await changed;
				}
			}),
		],
		[
			`${SERVICE}/UpdateBuildHistory`,
			unary(updateHistoryRequest, nothing, ({ Ref, Pinned, Delete }) => {
				if (Pinned) throw new GrpcError(CODES.unimplemented, "pinning a build is not supported: the last 50 are kept");
				if (Delete) jobs.forget(Ref);
				return {};
			}),
		],
	];
}

/** What a listener is told, oldest first; of `Limit` the newest. */
function eventsOf(all: readonly BuildJob[], { Ref, ActiveOnly, Limit }: HistoryRequest): HistoryEvent[] {
	const found = all.filter((job) => (Ref === "" || job.ref === Ref) && !(ActiveOnly && job.end));
	return found
		.slice(Limit > 0 ? -Limit : 0)
		.map((job) => ({ type: job.end ? COMPLETE : STARTED, record: recordOf(job) }));
}

function recordOf(job: BuildJob): HistoryEvent["record"] {
	const { ref, asked, created, end, progress } = job;
	const { error } = end ?? {};
	const steps = progress.counts();
	return {
		Ref: ref,
		Frontend: asked.frontend || "dockerfile.v0",
		FrontendAttrs: asked.attributes,
		Exporters: asked.exporters,
		error: error && { code: error.code, message: error.message, details: [...error.details] },
		CreatedAt: created,
		CompletedAt: end?.completed,
		ExporterResponse: new Map(Object.entries(end?.response ?? {})),
		Generation: 1,
		numCachedSteps: steps.cached,
		numTotalSteps: steps.total,
		numCompletedSteps: steps.completed,
		numWarnings: steps.warnings,
	};
}
