import type { BuildCacheEntry } from "../../engine/build/contract.ts";
import { EngineError } from "../../shared/errors.ts";
import { parseNano } from "../../shared/time.ts";
import { cacheFilterHolds } from "../build/cache.ts";
import { type ExportRequest, exportAll } from "./exporters.ts";
import { solve } from "./gateway.ts";
import { CODES, GrpcError, type Method, type ServedCall, servedBytes, serverStream, unary } from "./grpc.ts";
import { historyMethods } from "./history.ts";
import type { BuildJob } from "./jobs.ts";
import {
	bytesMessage,
	diskUsageRequest,
	diskUsageResponse,
	infoResponse,
	listWorkersResponse,
	nothing,
	pruneRequest,
	solveRequest,
	solveResponse,
	statusRequest,
	statusResponse,
	usageRecord,
} from "./messages.ts";
import type { BuildKitParts } from "./parts.ts";
import type { Decoded } from "./protobuf.ts";
import { refuseCacheExport } from "./refusals.ts";
import { runJob } from "./run-job.ts";
import { workerRecord } from "./worker.ts";

const SERVICE = "/moby.buildkit.v1.Control";
type SolveRequest = Decoded<typeof solveRequest>;

/** The Control service: a client begins a build with Solve, follows it with Status, and asks what we are. */
export function controlMethods(parts: BuildKitParts): [string, Method][] {
	const { jobs, worker, builds } = parts;
	return [
		[`${SERVICE}/ListWorkers`, unary(nothing, listWorkersResponse, () => ({ record: [workerRecord(worker)] }))],
		[
			`${SERVICE}/Info`,
			unary(nothing, infoResponse, () => ({ buildkitVersion: workerRecord(worker).BuildkitVersion })),
		],
		[
			`${SERVICE}/Solve`,
			unary(solveRequest, solveResponse, async (request, call) => ({
				ExporterResponse: new Map(Object.entries(await build(parts, request, call.signal))),
			})),
		],
		[
			`${SERVICE}/Status`,
			serverStream(statusRequest, statusResponse, async ({ Ref }, send, call) => {
				const job = await jobs.get(Ref, call.signal);
				for await (const update of job.progress.follow(call.signal)) await send(update);
			}),
		],
		...historyMethods(parts),
		[`${SERVICE}/Session`, (call) => lentSession(parts, call)],
		// The steps of builds are images, and go with `docker image prune`.
		[
			`${SERVICE}/DiskUsage`,
			unary(diskUsageRequest, diskUsageResponse, async ({ filter }) => ({
				record: (await builds.cacheUsage()).filter((entry) => isWanted(entry, filter)).map(usageOf),
			})),
		],
		[
			`${SERVICE}/Prune`,
			serverStream(pruneRequest, usageRecord, async ({ filter, keepDuration, reservedSpace }, send) => {
				const gone = await builds.pruneCache({
					accepts: (entry) => isWanted(entry, filter),
					unusedForMs: Number(keepDuration) / 1e6,
					keepBytes: Number(reservedSpace),
				});
				for (const entry of gone) await send(usageOf(entry));
			}),
		],
	];
}

/** A session over a call in place of a connection of its own: what `/session` is, in messages. */
async function lentSession({ sessions }: BuildKitParts, call: ServedCall): Promise<void> {
	const session = sessions.accept((name) => call.metadata(name));
	await session(servedBytes(call, bytesMessage)).closed;
}

/** Any of the filters holds, of which each is several conditions with commas between; an empty one always does. */
function isWanted(entry: BuildCacheEntry, filters: readonly string[]): boolean {
	const conditions = (filter: string) => filter.split(",").filter(Boolean);
	return filters.length === 0 || filters.some((one) => conditions(one).every((it) => cacheFilterHolds(entry, it)));
}

function usageOf(entry: BuildCacheEntry): Decoded<typeof usageRecord> {
	const at = (time: string) => {
		const nanos = parseNano(time) ?? 0n;
		return { seconds: Number(nanos / 1_000_000_000n), nanos: Number(nanos % 1_000_000_000n) };
	};
	return {
		ID: entry.id,
		Mutable: true,
		InUse: entry.inUse,
		Size: entry.size,
		CreatedAt: at(entry.created),
		LastUsedAt: at(entry.lastUsed),
		UsageCount: entry.usageCount,
		Description: entry.description,
		RecordType: entry.type,
	};
}

/** One build from its beginning to its end; what its exporters say. */
async function build(
	parts: BuildKitParts,
	request: SolveRequest,
	signal: AbortSignal,
): Promise<Record<string, string>> {
	if (request.Ref === "") throw new GrpcError(CODES.invalid, "the build has no Ref");
	const job = parts.jobs.create(request.Ref, {
		frontend: request.Frontend,
		attributes: request.FrontendAttrs,
		exporters: request.Exporters,
		internal: request.Internal,
	});
	const { Session: session, Entitlements: entitlements } = request;
	return runJob(parts, job, { session, entitlements, signal }, async () => {
		refuse(request);
		const [id, ...others] = await resultsOf(parts, job, request);
		if (others.length > 0) {
			throw new EngineError("unsupported", `exporting ${others.length + 1} results of one build is not supported`);
		}
		return id === undefined ? {} : exportAll(parts, job, job.result(id), exportersOf(request));
	});
}

/** Without a frontend the client drives the build itself, by LLBBridge, and says what came of it. */
async function resultsOf(parts: BuildKitParts, job: BuildJob, request: SolveRequest): Promise<readonly string[]> {
	if (request.Frontend !== "") {
		return [await solve(parts, job, { ...request, FrontendOpt: request.FrontendAttrs }, job.signal)];
	}
	const outcome = await job.outcome;
	if ("error" in outcome) throw outcome.error;
	return outcome.results;
}

function exportersOf(request: SolveRequest): readonly ExportRequest[] {
	const old = { Type: request.ExporterDeprecated, Attrs: request.ExporterAttrsDeprecated };
	return request.Exporters.length === 0 && old.Type !== "" ? [old] : request.Exporters;
}

function refuse({ Definition, Entitlements, Cache }: SolveRequest): void {
	if (Definition && Definition.def.length > 0) {
		throw new EngineError("unsupported", "raw LLB definitions are not supported: this engine builds Dockerfiles");
	}
	const denied = Entitlements.find((one) => one !== "network.host");
	if (denied !== undefined) {
		throw new EngineError("invalid", `granting entitlement ${denied} is not allowed by build daemon configuration`);
	}
	const [cache] = Cache?.Exports ?? [];
	if (cache) refuseCacheExport(cache.Type);
}
