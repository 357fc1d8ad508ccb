import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Timing } from "../timing.ts";

export interface Seen {
	readonly method: string;
	/** Path and query. */
	readonly url: string;
	readonly headers: IncomingHttpHeaders;
	readonly body: string;
}

export interface FakeServer extends AsyncDisposable {
	/** `127.0.0.1:PORT` */
	readonly domain: string;
	readonly port: number;
	/** Every request so far, `GET /v2/` left out. */
	readonly seen: Seen[];
}

/** The answer to one request; `undefined` leaves it to the default: 200 for `/v2/`, docker's 404 for all else. */
export type Handler = (
	request: Seen,
	response: ServerResponse,
	raw: IncomingMessage,
) => boolean | undefined | Promise<boolean | undefined>;

/** An HTTP server on loopback whose handler says true when it has answered. Bodies of requests are read before it is asked. */
export async function startFake(handler: Handler): Promise<FakeServer> {
	const seen: Seen[] = [];
	const server = createServer(async (raw, response) => {
		const body = await bodyOf(raw);
		const request = { method: raw.method ?? "", url: raw.url ?? "", headers: raw.headers, body };
		if (request.url !== "/v2/") seen.push(request);
		if (await handler(request, response, raw)) return;
		if (request.url === "/v2/") response.end("{}");
		else sendJson(response, 404, { errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }] });
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as AddressInfo;
	return {
		domain: `127.0.0.1:${port}`,
		port,
		seen,
		async [Symbol.asyncDispose]() {
			server.closeAllConnections();
			await new Promise<void>((resolve) => server.close(() => resolve()));
		},
	};
}

export function sendJson(
	response: ServerResponse,
	status: number,
	value: unknown,
	headers: Record<string, string> = {},
): true {
	response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
	return true;
}

/** Time that passes at once; what was slept is kept. */
export function fakeTiming(
	limits: { answerMs?: number; stallMs?: number } = {},
): Timing & { slept: number[]; clock: number } {
	return {
		answerMs: limits.answerMs ?? 5000,
		stallMs: limits.stallMs ?? 5000,
		slept: [],
		clock: 1_700_000_000_000,
		now() {
			return this.clock;
		},
		async sleep(ms, signal) {
			signal?.throwIfAborted();
			this.slept.push(ms);
			this.clock += ms;
		},
		random: () => 1,
	};
}

async function bodyOf(raw: IncomingMessage): Promise<string> {
	const parts: Buffer[] = [];
	try {
		for await (const part of raw) parts.push(part);
	} catch {
		// the client went away in the middle of its body
	}
	return Buffer.concat(parts).toString();
}
