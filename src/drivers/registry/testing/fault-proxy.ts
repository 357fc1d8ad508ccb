import { createServer, request as forward, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What goes wrong with one exchange. Counts of bytes are of the body of the answer. */
export type Fault =
	| {
			readonly kind: "status";
			readonly status: number;
			readonly headers?: Record<string, string>;
			readonly body?: string;
	  }
	/** The connection ends, in order or by a reset, when so many bytes have passed. */
	| { readonly kind: "cut" | "reset"; readonly after: number }
	/** Nothing more comes, and the connection stays. */
	| { readonly kind: "stall"; readonly after: number }
	/** One bit of the byte at this place is turned over. */
	| { readonly kind: "corrupt"; readonly at: number }
	/** The body ends early and says so in its length. */
	| { readonly kind: "truncate"; readonly to: number }
	/** A web page, as a proxy's log-in page or an error page of a load balancer. */
	| { readonly kind: "html" }
	/** Bytes per second. */
	| { readonly kind: "slow"; readonly rate: number }
	| { readonly kind: "headers"; readonly headers: Record<string, string> };

/** Decides by the request and how many of this method and path came before it. */
export type FaultRule = (request: { method: string; path: string; before: number }) => Fault | undefined;

export interface FaultProxy extends AsyncDisposable {
	/** `127.0.0.1:PORT` */
	readonly domain: string;
	/** `METHOD path` of every request so far. */
	readonly seen: string[];
	rule: FaultRule;
}

/** A plain HTTP proxy on loopback in front of a registry that speaks plain HTTP. */
export async function startFaultProxy(upstream: string, rule: FaultRule = () => undefined): Promise<FaultProxy> {
	const counts = new Map<string, number>();
	const server = createServer((request, response) => {
		const key = `${request.method} ${request.url}`;
		const before = counts.get(key) ?? 0;
		counts.set(key, before + 1);
		proxy.seen.push(key);
		const fault = proxy.rule({ method: request.method ?? "", path: request.url ?? "", before });
		if (fault?.kind === "status") answer(response, fault.status, fault.headers ?? {}, fault.body ?? "");
		else if (fault?.kind === "html") answer(response, 200, { "content-type": "text/html" }, "<html>log in</html>");
		else pass(upstream, request, response, fault);
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const proxy: FaultProxy = {
		domain: `127.0.0.1:${(server.address() as AddressInfo).port}`,
		seen: [],
		rule,
		async [Symbol.asyncDispose]() {
			server.closeAllConnections();
			await new Promise<void>((resolve) => server.close(() => resolve()));
		},
	};
	return proxy;
}

function answer(response: ServerResponse, status: number, headers: Record<string, string>, body: string): void {
	response.writeHead(status, { "content-length": `${Buffer.byteLength(body)}`, ...headers }).end(body);
}

/** The Host header goes on as it came, so that the registry's Locations lead back through the proxy. */
function pass(upstream: string, request: IncomingMessage, response: ServerResponse, fault: Fault | undefined): void {
	const { method, headers, url } = request;
	const sent = forward(`http://${upstream}${url}`, { method, headers }, (received) => {
		void answerWith(received, response, fault).catch(() => response.socket?.destroy());
	});
	sent.on("error", () => response.socket?.destroy());
	response.on("close", () => sent.destroy());
	request.pipe(sent);
}

async function answerWith(
	received: IncomingMessage,
	response: ServerResponse,
	fault: Fault | undefined,
): Promise<void> {
	const headers = { ...received.headers, ...(fault?.kind === "headers" ? fault.headers : {}) };
	if (fault?.kind === "truncate") headers["content-length"] = `${fault.to}`;
	response.writeHead(received.statusCode ?? 502, headers as Record<string, string>);
	let passed = 0;
	for await (const part of received) {
		const chunk: Buffer = fault?.kind === "corrupt" ? corrupted(part, fault.at - passed) : part;
		const limit = limitOf(fault);
		const piece = chunk.subarray(0, Math.max(0, limit - passed));
		passed += piece.length;
		await write(response, piece);
		if (passed >= limit) return await goWrong(response, fault);
		if (fault?.kind === "slow") await Bun.sleep((1000 * piece.length) / fault.rate);
	}
	response.end();
}

function limitOf(fault: Fault | undefined): number {
	if (fault?.kind === "truncate") return fault.to;
	return fault?.kind === "cut" || fault?.kind === "reset" || fault?.kind === "stall"
		? fault.after
		: Number.POSITIVE_INFINITY;
}

async function goWrong(response: ServerResponse, fault: Fault | undefined): Promise<void> {
	if (fault?.kind === "truncate") response.end();
	if (fault?.kind === "stall") return;
	// what was written must leave before the connection does
	await Bun.sleep(20);
	if (fault?.kind === "cut") response.socket?.destroy();
	if (fault?.kind === "reset") response.socket?.resetAndDestroy();
}

function corrupted(chunk: Buffer, at: number): Buffer {
	if (at < 0 || at >= chunk.length) return chunk;
	const copy = Buffer.from(chunk);
	copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
	return copy;
}

async function write(response: ServerResponse, piece: Buffer): Promise<void> {
	if (piece.length === 0 || response.write(piece)) return;
	await new Promise<void>((resolve) => {
		response.once("drain", resolve);
		response.once("close", resolve);
	});
}
