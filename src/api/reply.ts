import type { IncomingMessage, ServerResponse } from "node:http";
import { headersOf } from "./errors.ts";

const NEWLINE = 0x0a;

/** Makes the web Request that routes read; the signal fires when the client leaves before the reply is whole. */
export function toRequest(message: IncomingMessage, path: string, signal: AbortSignal): Request {
	const headers = new Headers();
	for (const [name, value] of Object.entries(message.headers)) {
		if (value === undefined || name === "expect" || name === "connection") continue;
		for (const one of Array.isArray(value) ? value : [value]) headers.append(name, one);
	}
	const method = message.method ?? "GET";
	const hasBody =
		message.headers["transfer-encoding"] !== undefined || Number(message.headers["content-length"] ?? 0) > 0;
	const body = hasBody && method !== "GET" && method !== "HEAD" ? bodyOf(message) : undefined;
	return new Request(`http://localhost${path}`, { method, headers, body, signal, duplex: "half" } as RequestInit);
}

/** One chunk is taken from the socket per chunk that is asked for: a slow reader holds the client back. */
function bodyOf(message: IncomingMessage): ReadableStream<Uint8Array> {
	const iterator = message[Symbol.asyncIterator]();
	return new ReadableStream<Uint8Array>(
		{
			async pull(controller) {
				const next = await iterator.next();
				if (next.done) controller.close();
				// A view: the chunk is this request's alone.
				else controller.enqueue(new Uint8Array(next.value.buffer, next.value.byteOffset, next.value.byteLength));
			},
			cancel() {
				message.resume();
			},
		},
		{ highWaterMark: 0 },
	);
}

/** Writes a web Response: known bodies whole with their length, streams chunk by chunk with their headers ahead. */
export async function sendResponse(
	reply: ServerResponse,
	response: Response,
	fixed: Readonly<Record<string, string>>,
): Promise<void> {
	const headers = headersOf(response, fixed);
	for (const [name, value] of response.headers) headers[name] = value;
	if (headers["content-type"]?.startsWith("application/json;")) headers["content-type"] = "application/json";
	const streams = response.body !== null && isStream(response);
	if (!streams) {
		const body = response.body === null ? undefined : ended(Buffer.from(await response.arrayBuffer()), headers);
		if (response.status !== 204 && response.status !== 304) headers["content-length"] ??= String(body?.length ?? 0);
		reply.writeHead(response.status, headers);
		reply.end(body);
		return;
	}
	reply.writeHead(response.status, headers);
	reply.flushHeaders();
	await pump(response.body as ReadableStream<Uint8Array>, reply);
}

/** Go's encoder ends a document with a newline. */
function ended(body: Buffer, headers: Record<string, string>): Buffer {
	if (headers["content-type"] !== "application/json" || body.at(-1) === NEWLINE) return body;
	delete headers["content-length"];
	return Buffer.concat([body, Buffer.of(NEWLINE)]);
}

function isStream(response: Response): boolean {
	return response.headers.get("content-length") === null && response.body !== null && !isJsonText(response);
}

/** Response.json and text bodies: short, whole, and known to be so by the charset that only they carry. */
function isJsonText(response: Response): boolean {
	return (response.headers.get("content-type") ?? "").includes("charset=");
}

async function pump(body: ReadableStream<Uint8Array>, reply: ServerResponse): Promise<void> {
	const reader = body.getReader();
	reply.once("close", () => void reader.cancel().catch(() => {}));
	for (;;) {
		const { done, value } = await reader.read();
		if (done || reply.destroyed) break;
		if (!reply.write(value)) await drained(reply);
	}
	reply.end();
}

function drained(reply: ServerResponse): Promise<void> {
	const { promise, resolve } = Promise.withResolvers<void>();
	const done = () => {
		reply.off("drain", done);
		reply.off("close", done);
		resolve();
	};
	reply.once("drain", done);
	reply.once("close", done);
	return promise;
}
