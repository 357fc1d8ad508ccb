import type { BuildLine, BuildRequest } from "../../engine/build/contract.ts";
import { createId } from "../../shared/id.ts";
import { type ExportRequest, exportAll } from "./exporters.ts";
import type { BuildJob } from "./jobs.ts";
import { statusResponse } from "./messages.ts";
import type { BuildKitParts } from "./parts.ts";
import { refuseCacheExport } from "./refusals.ts";
import { runJob } from "./run-job.ts";

/** What `POST /build?version=2` says besides what a classic build has. */
export interface HttpBuild {
	/** `buildid`; "": the client does not name it */
	readonly id: string;
	/** `session`: where the client serves its directories and secrets */
	readonly session: string;
	readonly outputs: readonly ExportRequest[];
	/** "session": the client serves the context; "upload": it comes in a request of its own, or in this one's body; else what the request has. */
	readonly source: "session" | "upload" | "request";
}

/**
 * BuildKit's builds as docker CLIs ask for them that have no buildx: those before 23.0. The session is the same; what BuildKit's Status tells comes in
 * the lines of the reply, and at its end the image's id. Source: Docker Engine API, ImageBuild.
 */
export async function* httpBuild(
	parts: BuildKitParts,
	request: BuildRequest,
	asked: HttpBuild,
): AsyncGenerator<BuildLine[]> {
	const ref = asked.id || createId();
	const exporters = asked.outputs.length > 0 ? asked.outputs : [{ Type: "moby", Attrs: new Map<string, string>() }];
	const attributes = new Map(request.dockerfile ? [["filename", request.dockerfile]] : []);
	const job = parts.jobs.create(ref, { frontend: "dockerfile.v0", attributes, exporters, internal: false });
	const entitlements = request.host.NetworkMode === "host" ? ["network.host"] : [];
	const running = runJob(parts, job, { session: asked.session, entitlements, signal: request.signal }, async () => {
		await (await job.begun()).session.answers();
		if (request.buildArgs.get("BUILDKIT_INLINE_CACHE")) refuseCacheExport("inline");
		const result = job.keep(await job.during(solve(parts, job, request, asked)));
		const wanted = exporters.filter(({ Type }) => Type !== "cacheonly");
		return exportAll(parts, job, job.result(result), wanted.map(withNames(request.tags)));
	});
	// It is awaited below, after what it tells.
	running.catch(() => {});
	try {
		for await (const update of job.progress.follow(request.signal)) {
			if (!request.quiet)
				yield [{ id: "moby.buildkit.trace", aux: Buffer.from(statusResponse.encode(update)).toString("base64") }];
		}
		const { "containerimage.config.digest": image } = await running;
		if (image) yield [request.quiet ? { stream: `${image}\n` } : { id: "moby.image.id", aux: { ID: image } }];
	} finally {
		job.cancel();
		if (asked.source === "upload") parts.uploads.release(ref);
	}
}

async function solve(parts: BuildKitParts, job: BuildJob, request: BuildRequest, { source }: HttpBuild) {
	const { session, entitlements } = await job.begun();
	const isLocal = source === "session";
	const { context } = request;
	return parts.builds.solve({
		...request,
		context: isLocal
			? { local: "context" }
			: source === "upload"
				? { body: parts.uploads.take(job.ref, job.signal) }
				: context,
		tags: [],
		buildArgs: new Map([...request.buildArgs].filter(([, value]) => value !== null)),
		remove: true,
		forceRemove: true,
		quiet: true,
		signal: job.signal,
		buildKit: {
			client: session,
			sharedKey: session.sharedKey,
			progress: job.progress,
			entitlements,
			...(isLocal && { dockerfileIn: "dockerfile" }),
			namedContexts: new Map(),
			noCacheFilter: [],
		},
	});
}

/** The image's names stand in the request, those of an exporter in its attributes. */
function withNames(tags: readonly string[]): (exporter: ExportRequest) => ExportRequest {
	return ({ Type, Attrs }) => ({
		Type,
		Attrs: tags.length > 0 ? new Map([...Attrs, ["name", tags.join(",")]]) : Attrs,
	});
}
