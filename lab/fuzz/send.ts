import type { FuzzRequest } from "./requests.ts";

export interface Answer {
	/** 0: none within the time, or the connection broke. */
	readonly status: number;
	/** The beginning of the body, what came of it within the time for streams. */
	readonly text: string;
}

/** The head of an answer must be here by then. */
const HEAD_WITHIN_MS = 5000;
/** Streams that go on are left after this. */
const BODY_WITHIN_MS = 40;
const BODY_CHARACTERS = 100_000;

/** Sends one request over a unix socket; the connection of a stream that goes on is closed. */
export async function send(socket: string, { operation, url, body, contentType }: FuzzRequest): Promise<Answer> {
	const gone = new AbortController();
	const timer = setTimeout(() => gone.abort(), HEAD_WITHIN_MS);
	try {
		const headers = contentType ? { "content-type": contentType } : {};
		const init = { method: operation.method, body, headers, unix: socket, signal: gone.signal, decompress: false };
		const reply = await fetch(`http://d/v1.51${url}`, init as RequestInit);
		return { status: reply.status, text: await beginningOf(reply) };
	} catch (error) {
		return { status: 0, text: String(error) };
	} finally {
		clearTimeout(timer);
		gone.abort();
	}
}

async function beginningOf(reply: Response): Promise<string> {
	const reader = reply.body?.getReader();
	if (!reader) return "";
	const decoder = new TextDecoder();
	const late = Bun.sleep(BODY_WITHIN_MS).then(() => ({ done: true, value: undefined }));
	let text = "";
	for (;;) {
		const { done, value } = await Promise.race([reader.read(), late]);
		text += value ? decoder.decode(value, { stream: true }) : "";
		if (done || text.length > BODY_CHARACTERS) break;
	}
	void reader.cancel().catch(() => {});
	return text;
}
