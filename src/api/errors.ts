import { EngineError, type ErrorCode, messageOf } from "../shared/errors.ts";

const STATUS: Record<ErrorCode, number> = {
	invalid: 400,
	"not-found": 404,
	conflict: 409,
	"not-modified": 304,
	unsupported: 400,
	"not-implemented": 501,
	unauthorized: 401,
	forbidden: 403,
	"too-many-requests": 429,
	unavailable: 503,
	cancelled: 499,
	internal: 500,
};

/** The HTTP status of anything thrown; what is not an EngineError is a fault of ours: 500. */
export function statusOf(error: unknown): number {
	return error instanceof EngineError ? STATUS[error.code] : 500;
}

/** Docker's error shape; 304 has no body. */
export function errorResponse(error: unknown): Response {
	const status = statusOf(error);
	if (status === 304) return new Response(null, { status });
	// Clients of before 1.24 read plain text.
	if (isTooOld(error)) {
		const headers = { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" };
		const response = new Response(`${messageOf(error)}\n`, { status, headers });
		origins.set(response, "version");
		return response;
	}
	const response = Response.json({ message: messageOf(error) }, { status });
	if (isVersionRefusal(error)) origins.set(response, "version");
	return response;
}

/** Who answered, where it was no route: dockerd's router names no API in its headers, and what looks at versions not all of them. */
const origins = new WeakMap<Response, "router" | "version">();

/** Headers that every reply carries, less those that dockerd leaves out of this one. */
export function headersOf(response: Response, fixed: Readonly<Record<string, string>>): Record<string, string> {
	const origin = origins.get(response);
	if (origin === undefined) return { ...fixed };
	const { "Docker-Experimental": _, ...more } = fixed;
	if (origin === "version") return more;
	const { "Api-Version": _version, Ostype: _system, ...least } = more;
	return least;
}

function isVersionRefusal(error: unknown): boolean {
	return error instanceof EngineError && /^client version \S+ is too (old|new)\./.test(error.message);
}

function isTooOld(error: unknown): boolean {
	return error instanceof EngineError && /^client version \S+ is too old\./.test(error.message);
}

/** What dockerd answers to an unknown path and to a known path with another method alike. */
export function pageNotFound(): Response {
	const response = Response.json({ message: "page not found" }, { status: 404 });
	origins.set(response, "router");
	return response;
}

/** `invalid` in one word: the request itself is wrong. */
export function invalid(message: string): EngineError {
	return new EngineError("invalid", message);
}
