import { familiarName, familiarString, type Reference } from "../../oci/reference.ts";
import { EngineError, type ErrorCode } from "../../shared/errors.ts";
import { RegistryFailure } from "./failure.ts";

const CODES: Record<string, ErrorCode> = {
	UNAUTHORIZED: "unauthorized",
	DENIED: "forbidden",
	NAME_UNKNOWN: "not-found",
	MANIFEST_UNKNOWN: "not-found",
	BLOB_UNKNOWN: "not-found",
	BLOB_UPLOAD_UNKNOWN: "not-found",
	TOOMANYREQUESTS: "too-many-requests",
};

/** What a client reads when a pull fails. Source of the texts: moby, daemon/internal/distribution/errors.go. */
export function pullError(error: unknown, reference: Reference, signal?: AbortSignal): unknown {
	if (!(error instanceof RegistryFailure) || signal?.aborted) return plainError(error, signal);
	const code = error.entries[0]?.code;
	const text = firstText(error);
	const say = (message: string) => new EngineError("not-found", message, { cause: error });
	switch (code) {
		case "DENIED":
			return say(
				`pull access denied for ${familiarName(reference)}, repository does not exist or may require 'docker login': ${text}`,
			);
		case "MANIFEST_UNKNOWN":
			return say(`manifest for ${familiarString(reference)} not found: ${text}`);
		case "NAME_UNKNOWN":
			return say(`repository ${familiarName(reference)} not found: ${text}`);
		default:
			return plainError(error, signal);
	}
}

/**
 * What a client reads when a push fails: authentication's own words, without the exchange they failed (dockerd unwraps them there).
 * "unavailable" when it may pass by itself: an upload is its sender's to begin anew.
 */
export function pushError(error: unknown, signal?: AbortSignal): unknown {
	const own = error instanceof RegistryFailure && error.cause instanceof RegistryFailure ? error.cause : error;
	if (own instanceof RegistryFailure && own.transient && own.status !== 429 && !signal?.aborted)
		return new EngineError("unavailable", own.message, { cause: own });
	return plainError(own, signal);
}

/** The failure as it is, with the code that dockerd's status has: what it cannot name is "internal". */
export function plainError(error: unknown, signal?: AbortSignal): unknown {
	if (signal?.aborted) return new EngineError("cancelled", "context canceled", { cause: error });
	if (!(error instanceof RegistryFailure)) return error;
	return new EngineError(CODES[error.entries[0]?.code ?? ""] ?? "internal", error.message, { cause: error });
}

/** Docker shows the first of several. */
function firstText(error: RegistryFailure): string {
	const first = error.entries[0];
	return first && error.entries.length > 1
		? `${first.code.toLowerCase().replaceAll("_", " ")}: ${first.message}`
		: error.message;
}
