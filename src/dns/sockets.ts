import type { Socket, TCPSocketListener, udp } from "bun";
import { EngineError, messageOf } from "../shared/errors.ts";
import { setUint16, uint16 } from "./message.ts";
import type { Responder } from "./responder.ts";

/** Connections beyond this are closed at once; idle ones after IDLE_SECONDS. */
const MAX_CONNECTIONS = 128;
const IDLE_SECONDS = 10;
/** Replies a client has not read yet; beyond this it is cut off. */
const MAX_UNSENT_BYTES = 1 << 20;
const MAX_PENDING_PER_CONNECTION = 64;

export interface DnsSockets {
	readonly udpPort: number;
	readonly tcpPort: number;
	close(): void;
}

/**
 * A UDP and a TCP socket that answer by `respond`; port 0 takes any free ones (they may differ). Both are bound before this returns, so that it can
 * run inside a `setns` of the main thread. Throws EngineError "conflict" naming an address in use.
 */
export function openDnsSockets(address: string, port: number, respond: Responder): DnsSockets {
	const udpSocket = openUdp(address, port, respond);
	try {
		const listener = openTcp(address, port, respond);
		return {
			udpPort: udpSocket.port,
			tcpPort: listener.port,
			close: () => {
				udpSocket.close();
				listener.stop(true);
			},
		};
	} catch (error) {
		udpSocket.close();
		throw error;
	}
}

/** The bind has happened when udpSocket() returns (it throws where that fails); only its result comes as a promise. */
function openUdp(hostname: string, port: number, respond: Responder): udp.Socket<"uint8array"> {
	try {
		const socket = Bun.peek(Bun.udpSocket({ hostname, port, binaryType: "uint8array", socket: udpHandler(respond) }));
		if (socket instanceof Promise) throw new Error("the socket was not bound at once");
		return socket;
	} catch (error) {
		throw listenError("udp", hostname, port, error);
	}
}

function udpHandler(respond: Responder): udp.SocketHandler<"uint8array"> {
	return {
		data(socket, bytes, clientPort, client) {
			const reply = respond(bytes, "udp", client);
			if (reply instanceof Promise) reply.then((late) => sendUdp(socket, late, clientPort, client));
			else if (reply) sendUdp(socket, reply, clientPort, client);
		},
		error() {},
	};
}

/** A full send buffer drops the datagram, as the network may; the client asks again. */
function sendUdp(socket: udp.Socket<"uint8array">, reply: Uint8Array, port: number, client: string): void {
	try {
		if (!socket.closed) socket.send(reply, port, client);
	} catch {
		// the client is unreachable (ECONNREFUSED of an earlier reply, no route): nobody to tell
	}
}

interface Connection {
	readonly client: string;
	received: Uint8Array;
	unsent: Uint8Array;
	pending: number;
}

function openTcp(hostname: string, port: number, respond: Responder): TCPSocketListener<Connection> {
	let connections = 0;
	try {
		return Bun.listen<Connection>({
			hostname,
			port,
			socket: {
				open(socket) {
					connections++;
					socket.data = {
						client: socket.remoteAddress,
						received: new Uint8Array(),
						unsent: new Uint8Array(),
						pending: 0,
					};
					if (connections > MAX_CONNECTIONS) socket.terminate();
					else socket.timeout(IDLE_SECONDS);
				},
				data: (socket, chunk) => readFrames(socket, chunk, respond),
				drain: (socket) => write(socket, new Uint8Array()),
				timeout: (socket) => void socket.terminate(),
				close: () => void connections--,
				error() {},
			},
		});
	} catch (error) {
		throw listenError("tcp", hostname, port, error);
	}
}

/** RFC 1035 4.2.2: two bytes of length before each message; a client may send several before it reads (RFC 7766). */
function readFrames(socket: Socket<Connection>, chunk: Uint8Array, respond: Responder): void {
	const connection = socket.data;
	socket.timeout(IDLE_SECONDS);
	let bytes = connection.received.length === 0 ? chunk : Buffer.concat([connection.received, chunk]);
	while (bytes.length >= 2 && bytes.length >= 2 + uint16(bytes, 0)) {
		const end = 2 + uint16(bytes, 0);
		if (!answerFrame(socket, new Uint8Array(bytes.subarray(2, end)), respond)) return void socket.terminate();
		bytes = bytes.subarray(end);
	}
	connection.received = new Uint8Array(bytes);
}

/** False when the connection is to be cut: no valid message, or too many unanswered. */
function answerFrame(socket: Socket<Connection>, message: Uint8Array, respond: Responder): boolean {
	const reply = respond(message, "tcp", socket.data.client);
	if (reply === undefined) return false;
	if (!(reply instanceof Promise)) {
		write(socket, framed(reply));
		return true;
	}
	if (++socket.data.pending > MAX_PENDING_PER_CONNECTION) return false;
	reply.then((late) => {
		socket.data.pending--;
		write(socket, framed(late));
	});
	return true;
}

function write(socket: Socket<Connection>, bytes: Uint8Array): void {
	if (socket.readyState <= 0) return;
	const { unsent } = socket.data;
	const all = unsent.length === 0 ? bytes : Buffer.concat([unsent, bytes]);
	if (all.length === 0) return;
	const written = Math.max(0, socket.write(all));
	socket.data.unsent = new Uint8Array(all.subarray(written));
	if (socket.data.unsent.length > MAX_UNSENT_BYTES) socket.terminate();
}

/** The message with its length before it, as TCP carries it. */
export function framed(message: Uint8Array): Uint8Array {
	const out = new Uint8Array(message.length + 2);
	setUint16(out, 0, message.length);
	out.set(message, 2);
	return out;
}

function listenError(protocol: string, hostname: string, port: number, cause: unknown): EngineError {
	return new EngineError("conflict", `cannot answer DNS on ${hostname}:${port}/${protocol}: ${messageOf(cause)}`, {
		cause,
	});
}
