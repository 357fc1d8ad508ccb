import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { AttachRequest, Containers, Execs } from "../engine/containers/contract.ts";
import { messageOf } from "../shared/errors.ts";
import { whenEnded } from "../shared/stream-end.ts";
import { parseJson } from "./body.ts";
import { DetachScanner, parseDetachKeys } from "./detach-keys.ts";
import { invalid, statusOf } from "./errors.ts";
import { decodeExecStart } from "./exec/schema.ts";
import { boolOf } from "./query.ts";
import { RAW_STREAM, streamType } from "./stream.ts";

/** A container's streams and what tells the engine that this client left. */
export interface Session {
	readonly tty: boolean;
	readonly stream: Duplex;
	/** Called when the client leaves by its keys; docker tells nobody of one that just goes. */
	readonly detached: () => void;
	/** Of an exec: see AttachedExec. */
	readonly ended?: Promise<void>;
	/** false: what the client sends, and its end, is dropped. */
	readonly stdin: boolean;
	/** Whether typed bytes may hold the detach sequence. */
	readonly detachKeys: Uint8Array | undefined;
}

/** What a hijacking request asks for, before anything was attached. */
export type HijackTarget = { readonly kind: "attach" | "exec" | "websocket"; readonly id: string };

/** The target of `POST /containers/x/attach`, `POST /exec/x/start`, `GET /containers/x/attach/ws`; undefined for any other path. */
export function hijackTarget(method: string, path: string): HijackTarget | undefined {
	const bare = path.split("?", 1)[0] ?? "";
	const attach = /^\/containers\/([^/]+(?:\/[^/]+)?)\/attach(\/ws)?$/.exec(bare);
	if (attach?.[1] && method === (attach[2] ? "GET" : "POST")) {
		return { kind: attach[2] ? "websocket" : "attach", id: decode(attach[1]) };
	}
	const exec = method === "POST" ? /^\/exec\/([^/]+)\/start$/.exec(bare)?.[1] : undefined;
	return exec ? { kind: "exec", id: decode(exec) } : undefined;
}

function decode(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		throw invalid(`invalid path: ${text}`);
	}
}

/** Opens attach and exec sessions. */
export function createSessions(containers: Containers, execs: Execs) {
	return {
		async attach(id: string, query: URLSearchParams): Promise<Session> {
			const keys = parseDetachKeys(query.get("detachKeys") ?? undefined);
			const request = attachRequest(query);
			const session = await containers.attach(id, request);
			return { ...session, stdin: request.stdin, detachKeys: session.tty && request.stdin ? keys : undefined };
		},
		/** undefined: it was started detached. */
		async exec(id: string, body: string): Promise<Session | undefined> {
			const asked = decodeExecStart(body.trim() === "" ? {} : parseJson(body), "ExecStartOptions");
			const options = { tty: asked.Tty, consoleSize: asked.ConsoleSize };
			if (asked.Detach) {
				await execs.startDetached(id, options);
				return undefined;
			}
			const { config } = execs.inspect(id);
			const session = await execs.start(id, options);
			const keys = session.tty && config.AttachStdin ? parseDetachKeys(config.DetachKeys) : undefined;
			return { ...session, stdin: config.AttachStdin, detachKeys: keys };
		},
	};
}

export type Sessions = ReturnType<typeof createSessions>;

function attachRequest(query: URLSearchParams): AttachRequest {
	return {
		stdin: boolOf(query, "stdin"),
		stdout: boolOf(query, "stdout"),
		stderr: boolOf(query, "stderr"),
		logs: boolOf(query, "logs"),
		stream: boolOf(query, "stream"),
	};
}

/** Reads the body that came with the upgrade request; the socket is raw after it. */
export async function readUpgradeBody(request: IncomingMessage): Promise<string> {
	const parts: Buffer[] = [];
	let size = 0;
	for await (const part of request) {
		size += part.length;
		if (size > 1024 * 1024) throw invalid("invalid JSON: request body larger than 1048576 bytes");
		parts.push(part);
	}
	return Buffer.concat(parts).toString("utf8");
}

/** The answer that turns the socket into the stream; `upgrade` false gives docker's plain 200 form. */
export function hijackHead(session: Session, minor: number, upgrade: boolean): string {
	if (!upgrade) return `HTTP/1.1 200 OK\r\nContent-Type: ${RAW_STREAM}\r\n\r\n`;
	const type = streamType(session.tty, minor);
	return `HTTP/1.1 101 UPGRADED\r\nContent-Type: ${type}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`;
}

/** An error written on a raw socket. */
export function rawError(error: unknown): string {
	const body = `${JSON.stringify({ message: messageOf(error) })}\n`;
	const status = statusOf(error);
	const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Error"}\r\nContent-Type: application/json\r\n`;
	return `${head}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`;
}

/** A client that has got all output has this long to close its side. */
const LINGER_MS = 5_000;

/** What is written goes out first, and what the client still types is read: closing a socket that holds unread input resets it. */
function endPolitely(socket: Duplex): void {
	const destroy = () => void socket.destroy();
	socket.end(() => {
		if (socket.readableEnded) return destroy();
		const cut = setTimeout(destroy, LINGER_MS);
		socket.once("close", () => clearTimeout(cut));
	});
	socket.once("end", () => socket.writableFinished && destroy());
	socket.resume();
}

const PYTHON_CLIENT = /^(docker-sdk-python|docker-py|docker-compose\/1\.|python-)/;
/** dockerd answers before it starts the process; that gap these clients live by. */
const PYTHON_READS_HEAD_WITHIN_MS = 20;

/**
 * How long output is held back after the head. Python's clients (Compose v1 is one) read the head through a buffer that they then leave:
 * output that came along with the head would be lost in it.
 */
export function outputDelay(userAgent = ""): number {
	return PYTHON_CLIENT.test(userAgent) ? PYTHON_READS_HEAD_WITHIN_MS : 0;
}

/**
 * Joins a client's socket with a session until both ways have ended or one side is gone. The client's end of input closes the
 * container's stdin and leaves output going; backpressure holds both ways. `delay`: see outputDelay, in ms.
 */
export function joinStreams(socket: Duplex, session: Session, head?: Uint8Array, delay = 0): Promise<void> {
	const { stream } = session;
	const scanner = session.detachKeys ? new DetachScanner(session.detachKeys) : undefined;
	const { promise, resolve } = Promise.withResolvers<void>();
	let over = false;
	const finish = () => {
		if (over) return;
		over = true;
		stream.destroy();
		socket.destroy();
		resolve();
	};
	const leave = (detached: boolean) => {
		if (over) return;
		over = true;
		if (detached) session.detached();
		stream.destroy();
		resolve();
		endPolitely(socket);
	};
	const input = (chunk: Uint8Array) => {
		if (!session.stdin || over) return;
		const { pass, detached } = scanner?.push(chunk) ?? { pass: chunk, detached: false };
		if (pass.length > 0 && stream.writable && !stream.write(pass)) {
			socket.pause();
			stream.once("drain", () => socket.resume());
		}
		if (detached) leave(true);
	};
	if (head && head.length > 0) input(head);
	socket.on("data", input);
	whenEnded(socket, () => session.stdin && stream.writable && stream.end());
	const output = (chunk: Uint8Array) => {
		if (socket.write(chunk)) return;
		stream.pause();
		socket.once("drain", () => stream.resume());
	};
	const outputOver = (then: () => void) => (session.ended ? void session.ended.then(then) : then());
	whenEnded(stream, () => outputOver(() => leave(false)));
	stream.on("close", () => outputOver(finish));
	stream.on("error", finish);
	socket.on("close", finish);
	socket.on("error", finish);
	// A stream may come paused, so that nothing is lost before its listeners are there.
	const flow = () => void stream.on("data", output).resume();
	if (delay > 0) setTimeout(flow, delay);
	else flow();
	return promise;
}
