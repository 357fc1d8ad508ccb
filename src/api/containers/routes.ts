import { Elysia } from "elysia";
import type { Containers, CreateRequest } from "../../engine/containers/contract.ts";
import { EngineError } from "../../shared/errors.ts";
import { readJson } from "../body.ts";
import { invalid } from "../errors.ts";
import { boolOf, intOf, queryOf, sizeOf, tailOf, timeOf } from "../query.ts";
import { streamResponse, streamType } from "../stream.ts";
import { versionOf } from "../version.ts";
import { archiveRoutes } from "./archive.ts";
import { commitReply } from "./commit.ts";
import { changesReply, exportReply } from "./export.ts";
import type { ContainerList } from "./list.ts";
import { asOfVersion } from "./older-clients.ts";
import { decodeCreate } from "./schema.ts";
import { statsRoutes } from "./stats.ts";
import { updateRoutes } from "./update.ts";
import { inspectView } from "./view.ts";

/** Handlers read the body themselves: it is decoded once, in one place, with docker's error texts. */
const RAW = { parse: "none" } as const;

const noContent = () => new Response(null, { status: 204 });

/** The containers noun but for attach, which takes the socket over: see hijack.ts. */
export function containerRoutes(
	containers: Containers,
	list: ContainerList,
	place: { dataRoot: string; driver: string; apparmorProfile?: string },
) {
	return new Elysia()
		.use(archiveRoutes(containers))
		.use(statsRoutes(containers))
		.use(updateRoutes(containers))
		.post("/commit", ({ request }) => commitReply(containers, request), RAW)
		.get("/containers/:id/export", ({ params }) => exportReply(containers, params.id))
		.get("/containers/:id/changes", ({ params }) => changesReply(containers, params.id))
		.get("/containers/json", async ({ request }) => {
			const body = await list.draw(queryOf(request).toString(), versionOf(request));
			return new Response(new Uint8Array(body), { headers: { "content-type": "application/json" } });
		})
		.post(
			"/containers/create",
			async ({ request }) => {
				const asked = asOfVersion(await createRequest(request), versionOf(request));
				const { id, warnings } = await containers.create(asked.request);
				return Response.json({ Id: id, Warnings: [...asked.warnings, ...warnings] }, { status: 201 });
			},
			RAW,
		)
		.get("/containers/:id/json", async ({ request, params }) => {
			const record = containers.inspect(params.id);
			const { dataRoot: data, apparmorProfile } = place;
			const dirs = { data, root: containers.rootPaths(record.id), apparmorProfile };
			const view = inspectView(record, dirs, place.driver);
			if (!boolOf(queryOf(request), "size")) return Response.json(view);
			const sizes = await containers.sizes(record.id);
			return Response.json({ ...view, SizeRw: sizes.rw, SizeRootFs: sizes.rootFs });
		})
		.post(
			"/containers/:id/start",
			async ({ request, params }) => {
				refuseStartOptions(request);
				await containers.start(params.id);
				return noContent();
			},
			RAW,
		)
		.post(
			"/containers/:id/stop",
			async ({ request, params }) => {
				await containers.stop(params.id, stopOptions(request));
				return noContent();
			},
			RAW,
		)
		.post(
			"/containers/:id/restart",
			async ({ request, params }) => {
				await containers.restart(params.id, stopOptions(request));
				return noContent();
			},
			RAW,
		)
		.post(
			"/containers/:id/kill",
			async ({ request, params }) => {
				await containers.kill(params.id, queryOf(request).get("signal") || "SIGKILL");
				return noContent();
			},
			RAW,
		)
		.post(
			"/containers/:id/pause",
			async ({ params }) => {
				await containers.pause(params.id);
				return noContent();
			},
			RAW,
		)
		.post(
			"/containers/:id/unpause",
			async ({ params }) => {
				await containers.unpause(params.id);
				return noContent();
			},
			RAW,
		)
		.post(
			"/containers/:id/rename",
			async ({ request, params }) => {
				await containers.rename(params.id, queryOf(request).get("name") ?? "");
				return noContent();
			},
			RAW,
		)
		.post(
			"/containers/:id/resize",
			async ({ request, params }) => {
				const { rows, columns } = sizeOf(queryOf(request));
				await containers.resize(params.id, rows, columns);
				return new Response(null, { status: 200 });
			},
			RAW,
		)
		.get("/containers/:id/top", async ({ request, params }) =>
			Response.json(await containers.top(params.id, queryOf(request).get("ps_args") || "-ef")),
		)
		.post("/containers/:id/wait", ({ request, params }) => waitReply(containers, params.id, request), RAW)
		.get("/containers/:id/logs", ({ request, params }) => logsReply(containers, params.id, request))
		.delete(
			"/containers/:id",
			async ({ request, params }) => {
				const query = queryOf(request);
				await containers.remove(params.id, {
					force: boolOf(query, "force"),
					volumes: boolOf(query, "v"),
					link: boolOf(query, "link"),
				});
				return noContent();
			},
			RAW,
		);
}

async function createRequest(request: Request): Promise<CreateRequest> {
	const query = queryOf(request);
	return {
		...(await readJson(request, decodeCreate, "Config")),
		name: query.get("name") || undefined,
		platform: query.get("platform") || undefined,
	};
}

/** A HostConfig at start went away with API 1.24; a body of up to 7 bytes (null, {}) is what some clients send. */
function refuseStartOptions({ headers, url }: Request): void {
	if (headers.has("transfer-encoding") || Number(headers.get("content-length") ?? 0) > 7) {
		throw invalid("starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24");
	}
	if (new URL(url).searchParams.get("checkpoint")) throw invalid("checkpoint is only supported in experimental mode");
}

function stopOptions(request: Request): { signal?: string; timeout?: number } {
	const query = queryOf(request);
	return { signal: query.get("signal") || undefined, timeout: intOf(query, "t") };
}

/** The headers go out as soon as the exit cannot be missed: `docker run` starts the container only then. */
async function waitReply(containers: Containers, id: string, request: Request): Promise<Response> {
	const condition = conditionOf(queryOf(request).get("condition"));
	const registered = Promise.withResolvers<void>();
	const ended = containers.wait(id, condition, request.signal, registered.resolve);
	ended.catch(() => {});
	await Promise.race([registered.promise, ended]);
	async function* body() {
		const result = await ended.catch((error: unknown) => {
			if (error instanceof EngineError && error.code === "cancelled") return undefined;
			throw error;
		});
		if (!result) return;
		const line = { ...(result.error ? { Error: { Message: result.error } } : {}), StatusCode: result.exitCode };
		yield new TextEncoder().encode(`${JSON.stringify(line)}\n`);
	}
	return streamResponse(body(), "application/json");
}

function conditionOf(text: string | null): "not-running" | "next-exit" | "removed" {
	if (!text || text === "not-running") return "not-running";
	if (text === "next-exit" || text === "removed") return text;
	throw invalid(`invalid condition: "${text}"`);
}

function logsReply(containers: Containers, id: string, request: Request): Response {
	const query = queryOf(request);
	const [stdout, stderr] = [boolOf(query, "stdout"), boolOf(query, "stderr")];
	if (!stdout && !stderr) throw invalid("Bad parameters: you must choose at least one stream");
	const { tty, chunks } = containers.logs(
		id,
		{
			stdout,
			stderr,
			timestamps: boolOf(query, "timestamps"),
			details: boolOf(query, "details"),
			follow: boolOf(query, "follow"),
			since: timeOf(query, "since"),
			until: timeOf(query, "until"),
			tail: tailOf(query),
		},
		request.signal,
	);
	return streamResponse(chunks, streamType(tty, versionOf(request)));
}
