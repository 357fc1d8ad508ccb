/** What went wrong, in the engine's words. `api/errors.ts` maps each code to its HTTP status. */
export type ErrorCode =
	| "invalid" // the request itself is wrong: 400
	| "not-found" // 404
	| "conflict" // name taken, container running, image in use: 409
	| "not-modified" // already started, already stopped: 304
	| "unsupported" // a field or option this engine does not have: 400
	| "not-implemented" // an operation this engine does not have: 501
	| "unauthorized" // 401
	| "forbidden" // 403
	| "too-many-requests" // a registry's rate limit: 429
	| "unavailable" // 503
	| "cancelled" // the client went away
	| "internal"; // 500

/** The one error class that crosses folders. The message is what the client reads. */
export class EngineError extends Error {
	override readonly name = "EngineError";

	constructor(
		readonly code: ErrorCode,
		message: string,
		options?: { cause?: unknown },
	) {
		super(message, options);
	}
}

/** The message of anything thrown, for logs and for the `cause` part of a client's error text. */
export function messageOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}
