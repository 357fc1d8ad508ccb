import { EngineError, messageOf } from "../../shared/errors.ts";

/** The bytes behind an http or https URL, for `docker import URL`. Throws "invalid" for other URLs, "unavailable" when it cannot be had. */
export async function* download(url: string, signal?: AbortSignal): AsyncIterable<Uint8Array> {
	const parsed = URL.canParse(url) ? new URL(url) : undefined;
	if (parsed?.protocol !== "http:" && parsed?.protocol !== "https:") {
		throw new EngineError("invalid", `cannot import from ${url}: allowed are http:// and https:// URLs`);
	}
	const reply = await fetch(parsed, { signal }).catch((cause) => {
		throw new EngineError("unavailable", `cannot import from ${url}: ${messageOf(cause)}`, { cause });
	});
	if (!reply.ok)
		throw new EngineError("unavailable", `cannot import from ${url}: Got HTTP status code ${reply.status}`);
	yield* reply.body ?? [];
}
