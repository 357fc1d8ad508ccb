import type { Images } from "../../engine/images/contract.ts";
import { invalid } from "../errors.ts";
import { boolFilter, filtersOf } from "../filters.ts";
import { boolOf, queryOf } from "../query.ts";
import { streamResponse } from "../stream.ts";
import { platformOf, streamLines } from "./stream-lines.ts";

interface RegistryAuth {
	readonly username?: string;
	readonly password?: string;
	readonly identityToken?: string;
	readonly registryToken?: string;
	readonly serverAddress?: string;
}

const FIELDS: Record<string, keyof RegistryAuth> = {
	username: "username",
	password: "password",
	identitytoken: "identityToken",
	registrytoken: "registryToken",
	serveraddress: "serverAddress",
};

/** Docker's auth object, from a header or a body; fields that are empty are left out. */
export function authOf(value: unknown): RegistryAuth {
	if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("invalid auth configuration");
	const auth: Record<string, string> = {};
	for (const [key, text] of Object.entries(value)) {
		const field = FIELDS[key.toLowerCase()];
		if (field && typeof text === "string" && text !== "") auth[field] = text;
		// What `docker login` keeps in its file: both in one.
		if (key === "auth" && typeof text === "string" && text !== "") Object.assign(auth, splitAuth(text));
	}
	return auth;
}

/** `X-Registry-Auth`: base64 (either alphabet) of a JSON object; no header: nobody. Throws "invalid"; never shows its content. */
export function credentialsOf(request: Request): RegistryAuth | undefined {
	const header = request.headers.get("x-registry-auth");
	if (!header) return undefined;
	try {
		const auth = authOf(JSON.parse(Buffer.from(header, "base64url").toString("utf8")));
		return Object.keys(auth).length > 0 ? auth : undefined;
	} catch {
		throw invalid("invalid X-Registry-Auth header: must be the base64 of a JSON object");
	}
}

/** `X-Registry-Config`: base64 of a JSON object, an auth object for each registry; or of null. Never shows its content. */
export function credentialsByRegistry(request: Request): Record<string, RegistryAuth> {
	const header = request.headers.get("x-registry-config");
	if (!header) return {};
	try {
		const value: unknown = JSON.parse(Buffer.from(header, "base64url").toString("utf8"));
		// Clients with no login at all send `null`.
		return Object.fromEntries(Object.entries((value ?? {}) as object).map(([host, auth]) => [host, authOf(auth)]));
	} catch {
		throw invalid("invalid X-Registry-Config header: must be the base64 of a JSON object");
	}
}

function splitAuth(text: string): Pick<RegistryAuth, "username" | "password"> {
	const plain = Buffer.from(text, "base64").toString("utf8");
	const colon = plain.indexOf(":");
	return colon < 0 ? {} : { username: plain.slice(0, colon), password: plain.slice(colon + 1) };
}

/** `POST /images/create?fromImage=`. */
export async function pullReply(images: Images, request: Request): Promise<Response> {
	const query = queryOf(request);
	const lines = images.pull(query.get("fromImage") ?? "", {
		tag: query.get("tag") || undefined,
		platform: platformOf(query.get("platform")),
		credentials: credentialsOf(request),
		signal: request.signal,
	});
	return await streamLines(lines);
}

/** `POST /images/{name}/push`. */
export async function pushReply(images: Images, name: string, request: Request): Promise<Response> {
	const query = queryOf(request);
	const lines = images.push(name, {
		tag: query.get("tag") || undefined,
		platform: platformOf(query.get("platform")),
		credentials: credentialsOf(request),
		signal: request.signal,
	});
	return await streamLines(lines);
}

/** `GET /images/get?names=` and `GET /images/{name}/get`. */
export function saveReply(images: Images, names: readonly string[], request: Request): Response {
	if (names.length === 0) throw invalid("invalid reference format");
	const platforms = queryOf(request).getAll("platform");
	if (platforms.length > 1) throw invalid(`platform is not supported more than once: ${platforms.join(" ")}`);
	const body = images.save(names, { platform: platformOf(platforms[0] ?? null) });
	return streamResponse(body, "application/x-tar");
}

/** `GET /images/search`. */
export async function searchReply(images: Images, request: Request): Promise<Response> {
	const query = queryOf(request);
	const found = await images.search(query.get("term") ?? "", {
		limit: limitOf(query.get("limit")),
		filters: searchFilters(query),
		credentials: credentialsOf(request),
		signal: request.signal,
	});
	return Response.json(
		found.map((one) => ({
			star_count: one.starCount,
			is_official: one.isOfficial,
			name: one.name,
			is_automated: one.isAutomated,
			description: one.description,
		})),
	);
}

function limitOf(text: string | null): number {
	const limit = Number(text || 25);
	if (Number.isInteger(limit) && limit >= 1 && limit <= 100) return limit;
	throw invalid(`limit ${text} is outside the range of [1, 100]`);
}

function searchFilters(query: URLSearchParams): { stars?: number; official?: boolean; automated?: boolean } {
	const filters = filtersOf(query, ["stars", "is-official", "is-automated"]);
	const [stars] = filters.get("stars");
	if (stars !== undefined && !/^\d{1,9}$/.test(stars)) throw invalid(`invalid filter 'stars=${stars}'`);
	const official = boolFilter(filters, "is-official");
	const automated = boolFilter(filters, "is-automated");
	return {
		...(stars !== undefined && { stars: Number(stars) }),
		...(official !== undefined && { official }),
		...(automated !== undefined && { automated }),
	};
}

/** `GET /distribution/{name}/json`. */
export async function distributionReply(images: Images, name: string, request: Request): Promise<Response> {
	const { descriptor, platforms } = await images.describe(name, {
		credentials: credentialsOf(request),
		signal: request.signal,
	});
	const { mediaType, digest, size } = descriptor;
	return Response.json({ Descriptor: { mediaType, digest, size }, Platforms: platforms });
}

/** `POST /foredeck/v1/images/check?repair=`: a line per layer. Repairs log in with what `X-Registry-Config` has. */
export async function checkReply(images: Images, request: Request): Promise<Response> {
	const found = images.check({
		repair: boolOf(queryOf(request), "repair"),
		credentials: credentialsByRegistry(request),
		signal: request.signal,
	});
	async function* lines() {
		for await (const layer of found) yield { ...layer };
	}
	return await streamLines(lines());
}
