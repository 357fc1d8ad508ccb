import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Duplex } from "node:stream";
import { EngineError, messageOf } from "../shared/errors.ts";
import type { Logger } from "../shared/log.ts";
import { type BuildKitEntrance, buildKitTarget } from "./buildkit/entrance.ts";
import type { ContainerList } from "./containers/list.ts";
import { errorResponse, headersOf, pageNotFound } from "./errors.ts";
import {
	type HijackTarget,
	hijackHead,
	hijackTarget,
	joinStreams,
	outputDelay,
	rawError,
	readUpgradeBody,
	type Session,
	type Sessions,
} from "./hijack.ts";
import { sendResponse, toRequest } from "./reply.ts";
import { hostRefusal, requestTarget } from "./request-target.ts";
import { writeResponse } from "./socket-reply.ts";
import { parseHost, prepareSocket, restrictSocket, type TlsFiles } from "./sockets.ts";
import { streamType } from "./stream.ts";
import { takeSocket } from "./take-socket.ts";
import { API_VERSION, encodeNames, rememberVersion, splitVersion } from "./version.ts";
import { joinWebSocket } from "./websocket.ts";

/** A build's arguments travel in the query; dockerd takes 1 MB. */
const MAX_HEADER_BYTES = 256 * 1024;
/** A request's head must be whole by then, as dockerd has it; a connection may idle between requests, and bodies and replies may last. */
const HEADERS_WITHIN_MS = 5 * 60_000;

/** How long a client may go on sending what nobody reads. */
const UNREAD_MS = 500;

export interface ListenerParts {
	readonly route: (request: Request) => Promise<Response>;
	readonly sessions: Sessions;
	readonly list: ContainerList;
	readonly version: string;
	readonly log: Logger;
	readonly tls?: TlsFiles;
	/** undefined: builds are classic ones. */
	readonly buildKit?: BuildKitEntrance;
}

/** HTTP on unix and TCP sockets: version prefix, the headers every reply carries, hijacked sockets; the rest goes to the router. */
export class Listener {
	private readonly servers: Server[] = [];
	/** Sockets that have left HTTP. */
	private readonly taken = new Set<Duplex>();
	private readonly fixed: Record<string, string>;

	constructor(private readonly parts: ListenerParts) {
		this.fixed = {
			"Api-Version": API_VERSION,
			"Docker-Experimental": "false",
			Ostype: "linux",
			Server: `Foredeck/${parts.version} (linux)`,
		};
	}

	/** Opens every host or none. "invalid" for a host that is none or not allowed, "conflict" when another engine answers there. */
	async listen(hosts: readonly string[]): Promise<void> {
		const addresses = hosts.map((host) => parseHost(host, this.parts.tls !== undefined));
		try {
			for (const address of addresses) {
				if ("path" in address) await prepareSocket(address.path);
				const server = this.createServer("path" in address ? undefined : this.parts.tls);
				await opened(server, address);
				if ("path" in address) restrictSocket(address.path);
			}
		} catch (error) {
			await this.close();
			throw error instanceof EngineError
				? error
				: new EngineError("internal", `cannot listen: ${messageOf(error)}`, { cause: error });
		}
	}

	/** Stops listening and ends every connection; containers do not notice. */
	async close(): Promise<void> {
		this.parts.buildKit?.close();
		const servers = this.servers.splice(0);
		for (const server of servers) server.close();
		for (const socket of this.taken) socket.destroy();
		for (const server of servers) server.closeAllConnections();
	}

	private createServer(tls: TlsFiles | undefined): Server {
		const options = { maxHeaderSize: MAX_HEADER_BYTES, allowHalfOpen: true };
		const server = tls
			? createTlsServer({ ...options, ...tls, requestCert: true, rejectUnauthorized: true })
			: createServer(options);
		server.requestTimeout = 0;
		server.headersTimeout = HEADERS_WITHIN_MS;
		server.keepAliveTimeout = 0;
		server.timeout = 0;
		server.on("request", (request, reply) => this.serve(request, reply));
		server.on("upgrade", (request, socket, head) => {
			this.keep(socket);
			void this.upgrade(request, socket, head);
		});
		this.servers.push(server);
		return server;
	}

	private keep(socket: Duplex): void {
		this.taken.add(socket);
		socket.once("close", () => this.taken.delete(socket));
		socket.on("error", () => socket.destroy());
	}

	private serve(message: IncomingMessage, reply: ServerResponse): void {
		this.dispatch(message, reply).catch((error: unknown) => {
			this.parts.log.debug("reply broken off", { url: message.url, error });
			reply.destroy();
		});
	}

	private async dispatch(message: IncomingMessage, reply: ServerResponse): Promise<void> {
		try {
			const host = hostRefusal(message);
			if (host !== undefined) return refuse(reply, host);
			const asked = requestTarget(message.url ?? "/");
			if ("movedTo" in asked) return move(reply, asked.movedTo);
			const { minor, rest } = splitVersion(asked.path);
			const method = message.method ?? "GET";
			// docker knows OPTIONS of every path, and HEAD of these two alone.
			if (method === "OPTIONS") return await sendResponse(reply, new Response(null, { status: 200 }), this.fixed);
			if (method === "HEAD" && !/^\/_ping$|\/archive(\?|$)/.test(rest))
				return await sendResponse(reply, pageNotFound(), this.fixed);
			if (rest === "/_ping" && (method === "GET" || method === "HEAD")) return this.ping(reply, method);
			if (method === "GET" && /^\/containers\/json(\?|$)/.test(rest))
				return await this.containerList(rest, minor, reply);
			const target = hijackTarget(method, rest);
			if (target) return await this.plainHijack(target, message, reply, minor, rest);
			await this.handle(message, reply, minor, rest);
		} catch (error) {
			await sendResponse(reply, errorResponse(error), this.fixed);
		}
	}

	private async handle(message: IncomingMessage, reply: ServerResponse, minor: number, rest: string): Promise<void> {
		const gone = new AbortController();
		reply.on("close", () => {
			if (!reply.writableFinished) gone.abort();
		});
		const request = toRequest(message, encodeNames(rest), gone.signal);
		rememberVersion(request, minor);
		await sendResponse(reply, await this.parts.route(request), this.fixed);
		if (request.body !== null && !message.complete) endUnread(message);
	}

	private ping(reply: ServerResponse, method: string): void {
		reply.writeHead(200, this.pingHeaders(method));
		reply.end(method === "HEAD" ? undefined : "OK");
	}

	private pingHeaders(method: string): Record<string, string> {
		return {
			...this.fixed,
			"Builder-Version": this.parts.buildKit ? "2" : "1",
			"Cache-Control": "no-cache, no-store, must-revalidate",
			Pragma: "no-cache",
			Swarm: "inactive",
			"Content-Type": "text/plain; charset=utf-8",
			"Content-Length": method === "HEAD" ? "0" : "2",
		};
	}

	private async containerList(path: string, minor: number, reply: ServerResponse): Promise<void> {
		const body = await this.parts.list.draw(path.slice("/containers/json?".length), minor);
		reply.writeHead(200, { ...this.fixed, "Content-Type": "application/json", "Content-Length": String(body.length) });
		reply.end(body);
	}

	private async open(target: HijackTarget, path: string, body: () => Promise<string>): Promise<Session | undefined> {
		if (target.kind === "exec") return this.parts.sessions.exec(target.id, await body());
		const at = path.indexOf("?");
		return this.parts.sessions.attach(target.id, new URLSearchParams(at < 0 ? "" : path.slice(at + 1)));
	}

	/** Without Upgrade: the 200 form of old clients. Where the socket cannot be taken only output flows. */
	private async plainHijack(
		target: HijackTarget,
		message: IncomingMessage,
		reply: ServerResponse,
		minor: number,
		path: string,
	) {
		if (target.kind === "websocket") throw new EngineError("invalid", "cannot attach: not a WebSocket handshake");
		const session = await this.open(target, path, () => readUpgradeBody(message));
		if (!session) {
			reply.writeHead(200, { ...this.fixed, "Content-Length": "0" });
			reply.end();
			return;
		}
		const socket = takeSocket(message, reply);
		if (socket) {
			this.keep(socket);
			socket.write(hijackHead(session, minor, false));
			return void (await joinStreams(socket, session, undefined, outputDelay(message.headers["user-agent"])));
		}
		reply.writeHead(200, { ...this.fixed, "Content-Type": streamType(session.tty, minor) });
		reply.flushHeaders();
		reply.once("close", () => void session.stream.destroy());
		session.stream.pipe(reply);
	}

	private async upgrade(message: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
		try {
			const host = hostRefusal(message);
			if (host !== undefined) return void socket.end(plainRefusal(host));
			const asked = requestTarget(message.url ?? "/");
			if ("movedTo" in asked) return void socket.end(`HTTP/1.1 301 Moved Permanently\r\n${movedTo(asked.movedTo)}\r\n`);
			const { minor, rest } = splitVersion(asked.path);
			const builds = this.parts.buildKit && buildKitTarget(message.method ?? "GET", rest);
			if (builds) return await this.parts.buildKit?.accept(builds, message, socket, head);
			const target = hijackTarget(message.method ?? "GET", rest);
			if (!target) return await this.answerPlainly(message, socket, minor, rest);
			if (message.headers.expect?.toLowerCase() === "100-continue") socket.write("HTTP/1.1 100 Continue\r\n\r\n");
			const session = await this.open(target, rest, () => readUpgradeBody(message));
			if (!session) return void socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
			if (target.kind === "websocket") return joinWebSocket(message, socket, head, session);
			socket.write(hijackHead(session, minor, true));
			await joinStreams(socket, session, head, outputDelay(message.headers["user-agent"]));
		} catch (error) {
			socket.end(rawError(error));
		}
	}

	/** An upgrade asked of a path that has none, as Java's client asks for HTTP/2: its ordinary answer, and the connection ends. */
	private async answerPlainly(message: IncomingMessage, socket: Duplex, minor: number, rest: string): Promise<void> {
		const method = message.method ?? "GET";
		if (rest === "/_ping" && method === "GET")
			return await writeResponse(socket, new Response("OK", { headers: this.pingHeaders(method) }), {});
		const gone = new AbortController();
		socket.once("close", () => gone.abort());
		const request = toRequest(message, encodeNames(rest), gone.signal);
		rememberVersion(request, minor);
		const response = await this.parts.route(request);
		await writeResponse(socket, response, headersOf(response, this.fixed));
	}
}

/** Go's server answers so before it looks at what is asked. */
function plainRefusal(text: string): string {
	const type = "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n";
	return `HTTP/1.1 ${text}\r\n${type}Content-Length: ${text.length}\r\n\r\n${text}`;
}

function refuse(reply: ServerResponse, text: string): void {
	const [, status, reason] = /^(\d+) (.*)$/.exec(text) ?? [];
	const headers = { "Content-Type": "text/plain; charset=utf-8", "Content-Length": String(text.length) };
	reply.writeHead(Number(status), reason, { ...headers, Connection: "close" });
	reply.end(text);
}

/** What is left of a body whose request is answered is dropped; a client that goes on for longer is cut off, as by Go's server. */
function endUnread(message: IncomingMessage): void {
	const cut = setTimeout(() => {
		if (!message.complete) message.socket.destroy();
	}, UNREAD_MS);
	message.once("end", () => clearTimeout(cut));
	message.resume();
}

const movedTo = (path: string) => `Location: ${path}\r\nContent-Length: 0\r\n`;

function move(reply: ServerResponse, path: string): void {
	reply.writeHead(301, { Location: path, "Content-Length": "0" });
	reply.end();
}

function opened(server: Server, address: { path: string } | { host: string; port: number }): Promise<void> {
	const { promise, resolve, reject } = Promise.withResolvers<void>();
	server.once("error", reject);
	server.listen(address, () => {
		server.off("error", reject);
		resolve();
	});
	return promise;
}
