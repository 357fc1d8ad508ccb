import { Elysia } from "elysia";
import type { Images } from "../../engine/images/contract.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { invalid } from "../errors.ts";
import { boolOf, queryOf } from "../query.ts";
import { streamResponse } from "../stream.ts";
import { listReply, pruneReply } from "./list.ts";
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
			checkPlatform(images, nameOf(params), request);
			return Response.json(images.history(nameOf(params)));
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
		.delete("/images/:name", async ({ params, request }) => {
			const query = queryOf(request);
			const options = { force: boolOf(query, "force"), noPrune: boolOf(query, "noprune") };
			return Response.json(await images.remove(nameOf(params), options));
		});
}

function nameOf(params: { name: string }): string {
	try {
		return decodeURIComponent(params.name);
	} catch {
		throw invalid(`invalid image name ${params.name}: not URL-encoded`);
	}
}

function inspect(images: Images, name: string, request: Request): Response {
	checkPlatform(images, name, request);
	const image = images.resolve(name);
	const manifests = images.manifests(image.id);
	const summaries = boolOf(queryOf(request), "manifests") ? manifestSummaries(image, manifests) : {};
	return Response.json({ ...imageInspect(image), ...summaries });
}

/** An image is of one platform here: another one asked for is not there. */
function checkPlatform(images: Images, name: string, request: Request): void {
	const asked = platformOf(queryOf(request).get("platform"));
	if (asked !== undefined) images.requirePlatform(name, asked);
}

async function load(images: Images, request: Request): Promise<Response> {
	const query = queryOf(request);
	const lines = images.load(bodyOf(request), {
		quiet: boolOf(query, "quiet"),
		platform: platformOf(query.get("platform")),
	});
	return await streamLines(lines);
}

/** Newer clients send `platform` as JSON, older ones as `os/arch`. */
function platformOf(text: string | null): string | undefined {
	if (!text?.startsWith("{")) return text || undefined;
	try {
		const { os, architecture, variant } = JSON.parse(text) as Record<string, unknown>;
		return [os, architecture, variant].filter((part) => typeof part === "string" && part !== "").join("/");
	} catch {
		throw invalid(`invalid platform ${text}`);
	}
}

async function create(images: Images, request: Request): Promise<Response> {
	const query = queryOf(request);
	if (query.get("fromImage")) {
		throw new EngineError(
			"unsupported",
			"pulling from a registry is not supported yet: load the image with docker load",
		);
	}
	if (query.get("fromSrc") !== "-") {
		throw new EngineError(
			"unsupported",
			`fromSrc is not supported yet: ${query.get("fromSrc") ?? ""} (allowed is -: the archive in the body)`,
		);
	}
	const id = await images.importTar(bodyOf(request), {
		repo: query.get("repo") || undefined,
		tag: query.get("tag") || undefined,
		message: query.get("message") || undefined,
		changes: query.getAll("changes"),
		platform: query.get("platform") || undefined,
	});
	return Response.json({ status: id });
}

async function* bodyOf(request: Request): AsyncIterable<Uint8Array> {
	if (request.body) yield* request.body;
}

/** What fails before the first line has a status of its own; after it, docker's `errorDetail` line. */
async function streamLines(lines: AsyncIterable<Record<string, unknown>>): Promise<Response> {
	const iterator = lines[Symbol.asyncIterator]();
	const first = await iterator.next();
	const encoder = new TextEncoder();
	const chunks = async function* () {
		try {
			for (let next = first; !next.done; next = await iterator.next())
				yield encoder.encode(`${JSON.stringify(next.value)}\r\n`);
		} catch (error) {
			const message = messageOf(error);
			yield encoder.encode(`${JSON.stringify({ errorDetail: { message }, error: message })}\r\n`);
		} finally {
			await iterator.return?.();
		}
	};
	return streamResponse(chunks(), "application/json");
}
