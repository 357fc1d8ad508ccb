import { Elysia } from "elysia";
import type { ImageRecord, Images } from "../../engine/images/contract.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { invalid } from "../errors.ts";
import { boolFilter, type Filters, filtersOf, matchesLabel } from "../filters.ts";
import { boolOf, queryOf } from "../query.ts";
import { streamResponse } from "../stream.ts";
import { imageInspect, imageSummary } from "./view.ts";

const FILTERS = ["dangling", "reference", "label", "label!", "before", "since", "until"];

/** The images noun. `:name` is one URL-encoded segment. Bodies are read as streams and never parsed. */
export function imageRoutes(images: Images) {
	return new Elysia({ name: "images" })
		.get("/images/json", ({ request }) => list(images, request))
		.post("/images/load", ({ request }) => load(images, request), { parse: "none" })
		.post("/images/create", ({ request }) => create(images, request), { parse: "none" })
		.get("/images/:name/json", ({ params }) => Response.json(imageInspect(images.resolve(nameOf(params)))))
		.get("/images/:name/history", ({ params }) => Response.json(images.history(nameOf(params))))
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

function list(images: Images, request: Request): Response {
	const query = queryOf(request);
	const filters = filtersOf(query, FILTERS);
	const found = images
		.list()
		.filter((image) => holds(image, filters, images))
		.sort((a, b) => Date.parse(b.created) - Date.parse(a.created) || (a.id < b.id ? -1 : 1));
	return Response.json(found.map((image) => imageSummary(image, -1)));
}

function holds(image: ImageRecord, filters: Filters, images: Images): boolean {
	const labels = image.config.config?.Labels ?? {};
	const created = Date.parse(image.created);
	const dangling = boolFilter(filters, "dangling");
	const names = [...image.tags, ...image.digests];
	return (
		(dangling === undefined || dangling === (image.tags.length === 0)) &&
		filters.any("reference", (pattern) => names.some((name) => matchesReference(name, pattern))) &&
		filters.every("label", (wanted) => matchesLabel(labels, wanted)) &&
		!filters.get("label!").some((wanted) => matchesLabel(labels, wanted)) &&
		filters.every("before", (ref) => created < Date.parse(images.resolve(ref).created)) &&
		filters.every("since", (ref) => created > Date.parse(images.resolve(ref).created)) &&
		filters.every("until", (time) => created < untilOf(time))
	);
}

/** Docker's patterns: `*` and `?` do not cross a slash; without a tag any tag matches. */
function matchesReference(name: string, pattern: string): boolean {
	const repository = name.replace(/@.*$|:[^:/]*$/, "");
	return new Bun.Glob(pattern).match(name) || new Bun.Glob(pattern).match(repository);
}

function untilOf(text: string): number {
	const units: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000 };
	if (/^(\d+[smh])+$/.test(text)) {
		const ago = [...text.matchAll(/(\d+)([smh])/g)].reduce(
			(sum, [, n, unit]) => sum + Number(n) * (units[unit ?? ""] ?? 0),
			0,
		);
		return Date.now() - ago;
	}
	const time = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text);
	if (Number.isNaN(time)) throw invalid(`invalid filter 'until=${text}'`);
	return time;
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
