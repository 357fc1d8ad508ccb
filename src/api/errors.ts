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
		return new Response(`${messageOf(error)}\n`, { status, headers });
	}
	return Response.json({ message: messageOf(error) }, { status });
}

function isTooOld(error: unknown): boolean {
	return error instanceof EngineError && /^client version \S+ is too old\./.test(error.message);
}

/** What dockerd answers to an unknown path and to a known path with another method alike. */
export function pageNotFound(): Response {
	return Response.json({ message: "page not found" }, { status: 404 });
}

/** `invalid` in one word: the request itself is wrong. */
export function invalid(message: string): EngineError {
	return new EngineError("invalid", message);
}
