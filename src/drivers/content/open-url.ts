import { EngineError, messageOf } from "../../shared/errors.ts";

/** What is behind an http or https URL, for a build. Throws "unavailable" in docker's words when it cannot be had. */
export async function openUrl(
	url: string,
	signal: AbortSignal,
): Promise<{ body: AsyncIterable<Uint8Array>; contentType: string; lastModified?: Date }> {
	const reply = await fetch(url, { signal }).catch((cause) => {
		throw new EngineError("unavailable", `Get ${JSON.stringify(url)}: ${messageOf(cause)}`, { cause });
	});
	if (reply.status >= 400) {
		const text = (await reply.text()).slice(0, 200).trim();
		throw new EngineError(
			"unavailable",
			`failed to GET ${url} with status ${reply.status} ${reply.statusText}: ${text}`,
		);
	}
	const changed = Date.parse(reply.headers.get("last-modified") ?? "");
	return {
		body: reply.body ?? nothing(),
		contentType: reply.headers.get("content-type") ?? "",
		...(!Number.isNaN(changed) && { lastModified: new Date(changed) }),
	};
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
