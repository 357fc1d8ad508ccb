import { randomInt } from "node:crypto";
import { EngineError } from "../shared/errors.ts";
import type { Handler } from "./handlers.ts";
import { isReplyTo, isTruncated, type Query, RCODE, rcodeOf, setUint16, uint16 } from "./message.ts";
import { framed } from "./sockets.ts";

export interface Upstream {
	readonly address: string;
	readonly port: number;
}

export interface ForwardOptions {
	/** Servers in the order to ask; read for every query. Ours must not be among them. */
	readonly upstreams: () => readonly Upstream[];
	/** Per server and attempt; default 2000. */
	readonly timeoutMs?: number;
	/** Rounds over all servers; default 2. */
	readonly attempts?: number;
	/** Forwarded queries under way; more are answered SERVFAIL. Default 512: each holds a socket. */
	readonly maxInFlight?: number;
}

/**
 * Passes a query on as it is (EDNS included) under a random id from a fresh random port, and believes only a reply from the server asked, with that id
 * and that question. The next server is asked on silence, SERVFAIL, NOTIMP and REFUSED. Rejects (the client gets SERVFAIL) when none answers.
 */
export function createForwarder(options: ForwardOptions): Handler {
	const maxInFlight = options.maxInFlight ?? 512;
	let inFlight = 0;
	return {
		async answer(query) {
			if (inFlight >= maxInFlight) throw new EngineError("unavailable", `too many forwarded queries: ${maxInFlight}`);
			inFlight++;
			try {
				return await askAll(query, options);
			} finally {
				inFlight--;
			}
		},
	};
}

/** Lets `most` queries be under way at once; more are answered SERVFAIL: who asks without end takes the forwarder from nobody else. */
export function limited(handler: Handler, most: number): Handler {
	let inFlight = 0;
	return {
		answer(query) {
			if (inFlight >= most)
				return Promise.reject(new EngineError("unavailable", `too many forwarded queries: ${most}`));
			const answer = handler.answer(query);
			if (!(answer instanceof Promise)) return answer;
			inFlight++;
			return answer.finally(() => {
				inFlight--;
			});
		},
	};
}

async function askAll(query: Query, options: ForwardOptions): Promise<Uint8Array> {
	const upstreams = options.upstreams();
	let last: Uint8Array | undefined;
	for (let attempt = 0; attempt < (options.attempts ?? 2) && last === undefined; attempt++) {
		for (const upstream of upstreams) {
			const reply = await ask(query, upstream, options.timeoutMs ?? 2000);
			if (!reply) continue;
			setUint16(reply, 0, uint16(query.bytes, 0));
			if (!isRefusal(rcodeOf(reply))) return reply;
			last = reply;
		}
	}
	if (last) return last;
	throw new EngineError(
		"unavailable",
		upstreams.length === 0 ? "no upstream resolver" : "no upstream resolver answered",
	);
}

const isRefusal = (rcode: number): boolean =>
	rcode === RCODE.SERVFAIL || rcode === RCODE.NOTIMP || rcode === RCODE.REFUSED;

async function ask(query: Query, upstream: Upstream, timeoutMs: number): Promise<Uint8Array | undefined> {
	const request = new Uint8Array(query.bytes);
	setUint16(request, 0, randomInt(0x10000));
	const accept = (reply: Uint8Array) => isReplyTo(request, query.questionEnd, reply);
	const reply = await askUdp(request, upstream, timeoutMs, accept);
	if (!reply || query.transport === "udp" || !isTruncated(reply)) return reply;
	return await askTcp(request, upstream, timeoutMs, accept);
}

type Accept = (reply: Uint8Array) => boolean;

/** A connected socket: the kernel drops datagrams of other senders, and tells of a closed port at once. */
async function askUdp(
	request: Uint8Array,
	upstream: Upstream,
	timeoutMs: number,
	accept: Accept,
): Promise<Uint8Array | undefined> {
	const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>();
	const timer = setTimeout(resolve, timeoutMs, undefined);
	try {
		const socket = await Bun.udpSocket<"uint8array">({
			connect: { hostname: upstream.address, port: upstream.port },
			binaryType: "uint8array",
			socket: {
				data: (_socket, reply) => {
					if (accept(reply)) resolve(new Uint8Array(reply));
				},
				error: () => resolve(undefined),
			},
		});
		try {
			socket.send(request);
			return await promise;
		} finally {
			socket.close();
		}
	} catch {
		return undefined; // no route to this server, or no free descriptor: as good as silent
	} finally {
		clearTimeout(timer);
	}
}

async function askTcp(
	request: Uint8Array,
	upstream: Upstream,
	timeoutMs: number,
	accept: Accept,
): Promise<Uint8Array | undefined> {
	const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>();
	const timer = setTimeout(resolve, timeoutMs, undefined);
	let received = Buffer.alloc(0);
	const connecting = Bun.connect({
		hostname: upstream.address,
		port: upstream.port,
		socket: {
			open: (socket) => void socket.write(framed(request)),
			data(_socket, chunk) {
				received = Buffer.concat([received, chunk]);
				if (received.length < 2 || received.length < 2 + uint16(received, 0)) return;
				const reply = Uint8Array.from(received.subarray(2, 2 + uint16(received, 0)));
				resolve(accept(reply) ? reply : undefined);
			},
			close: () => resolve(undefined),
			error: () => resolve(undefined),
			connectError: () => resolve(undefined),
		},
	});
	connecting.catch(() => resolve(undefined));
	try {
		return await promise;
	} finally {
		clearTimeout(timer);
		connecting.then(
			(socket) => socket.terminate(),
			() => {},
		);
	}
}
