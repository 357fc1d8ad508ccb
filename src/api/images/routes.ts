import { Elysia } from "elysia";
import type { Images } from "../../engine/images/contract.ts";
import { EngineError } from "../../shared/errors.ts";
import { invalid } from "../errors.ts";
import { boolOf, queryOf } from "../query.ts";
import { versionOf } from "../version.ts";
import { listReply, pruneReply } from "./list.ts";
import { checkReply, distributionReply, pullReply, pushReply, saveReply, searchReply } from "./registry.ts";
import { platformOf, streamLines } from "./stream-lines.ts";
import { imageInspect, manifestSummaries } from "./view.ts";

/** The images noun. `:name` is one URL-encoded segment. Bodies are read as streams and never parsed. */
export function imageRoutes(images: Images) {
	return new Elysia({ name: "images" })
		.get("/images/json", ({ request }) => listReply(images, request))
		.post("/images/prune", ({ request }) => pruneReply(images, request), { parse: "none" })
		.post("/images/load", ({ request }) => load(images, request), { parse: "none" })
		.post("/images/create", ({ request }) => create(images, request), { parse: "none" })
		.get("/images/:name/json", ({ params, request }) => inspect(images, nameOf(params), request))
		.get("/images/:name/history", ({ params, request }) => {
			const platform = platformOf(queryOf(request).get("platform"));
			return Response.json(images.history(nameOf(params), platform));
		})
		.post(
			"/images/:name/tag",
			({ params, request }) => {
				const query = queryOf(request);
				images.tag(nameOf(params), query.get("repo") ?? "", query.get("tag") ?? "");
				return new Response(null, { status: 201 });
			},
			{ parse: "none" },
		)
		.post("/images/:name/push", ({ params, request }) => pushReply(images, nameOf(params), request), { parse: "none" })
		.get("/images/:name/get", ({ params, request }) => saveReply(images, [nameOf(params)], request))
		.get("/images/get", ({ request }) => saveReply(images, namesOf(request), request))
		.get("/images/search", ({ request }) => searchReply(images, request))
		.get("/distribution/:name/json", ({ params, request }) => distributionReply(images, nameOf(params), request))
		.post("/foredeck/v1/images/check", ({ request }) => checkReply(images, request), { parse: "none" })
		.delete("/images/:name", async ({ params, request }) => {
			const query = queryOf(request);
			requirePlatforms(images, nameOf(params), query.getAll("platforms"));
			const options = { force: boolOf(query, "force"), noPrune: boolOf(query, "noprune") };
			return Response.json(await images.remove(nameOf(params), options));
		});
}

/** As dockerd: an image of another platform is not there. One that is kept with several goes whole or not at all. */
function requirePlatforms(images: Images, name: string, platforms: readonly string[]): void {
	for (const text of platforms) {
		const platform = platformOf(text) ?? "";
		const { id } = images.resolvePlatform(name, platform);
		if (images.keptManifests(images.resolve(name).id).length === 0) continue;
		throw new EngineError(
			"unsupported",
			`cannot remove platform ${platform} (${id}) of ${name} alone: it is kept with all of its platforms, remove it without platforms`,
		);
	}
}

function nameOf(params: { name: string }): string {
	try {
		return decodeURIComponent(params.name);
	} catch {
		throw invalid(`invalid image name ${params.name}: not URL-encoded`);
	}
}

/** Repeated, or one list with commas as old clients send it. */
function namesOf(request: Request): string[] {
	return queryOf(request)
		.getAll("names")
		.flatMap((names) => names.split(","))
		.filter((name) => name !== "");
}

function inspect(images: Images, name: string, request: Request): Response {
	const platform = platformOf(queryOf(request).get("platform"));
	const image = platform === undefined ? images.resolve(name) : images.resolvePlatform(name, platform);
	const minor = versionOf(request);
	if (!boolOf(queryOf(request), "manifests")) return Response.json(imageInspect(image, minor));
	if (platform !== undefined) throw invalid("conflicting options: manifests and platform options cannot both be set");
	return Response.json({ ...imageInspect(image, minor), ...manifestSummaries(images, image) });
}

async function load(images: Images, request: Request): Promise<Response> {
	const query = queryOf(request);
	const lines = images.load(bodyOf(request), {
		quiet: boolOf(query, "quiet"),
		platform: platformOf(query.get("platform")),
	});
	return await streamLines(lines);
}

async function create(images: Images, request: Request): Promise<Response> {
	const query = queryOf(request);
	if (query.get("fromImage")) return await pullReply(images, request);
	const source = query.get("fromSrc");
	if (!source) throw invalid("fromImage or fromSrc is needed");
	const options = {
		repo: query.get("repo") || undefined,
		tag: query.get("tag") || undefined,
		message: query.get("message") || undefined,
		changes: query.getAll("changes"),
		platform: query.get("platform") || undefined,
	};
	if (source === "-") return Response.json({ status: await images.importTar(bodyOf(request), options) });
	const url = source.includes("://") ? source : `http://${source}`;
	async function* lines() {
		yield { status: `Downloading from ${url}` };
		yield { status: await images.importUrl(url, { ...options, signal: request.signal }) };
	}
	return await streamLines(lines());
}

async function* bodyOf(request: Request): AsyncIterable<Uint8Array> {
	if (request.body) yield* request.body;
}
