import { messageOf } from "../../shared/errors.ts";
import { invalid } from "../errors.ts";
import { streamResponse } from "../stream.ts";

/** What fails before the first line has a status of its own; after it, docker's `errorDetail` line. */
export async function streamLines(lines: AsyncIterable<Record<string, unknown>>): Promise<Response> {
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

/** Newer clients send `platform` as JSON, older ones as `os/arch`. */
export function platformOf(text: string | null): string | undefined {
	if (!text?.startsWith("{")) return text || undefined;
	try {
		const { os, architecture, variant } = JSON.parse(text) as Record<string, unknown>;
		return [os, architecture, variant].filter((part) => typeof part === "string" && part !== "").join("/");
	} catch {
		throw invalid(`invalid platform ${text}`);
	}
}
