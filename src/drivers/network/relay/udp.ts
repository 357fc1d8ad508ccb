import { createSocket, type Socket } from "node:dgram";
import type { udp } from "bun";
import { RELAY_SOURCE } from "../../../shared/relay-source.ts";
import type { Budget, Relayed, Target } from "./protocol.ts";

/** Clients of one port at a time: the one that has been silent longest makes room. */
const MAX_CLIENTS = 1024;
/** A client that nothing has come from or gone to for so long is forgotten, as docker's proxy does. */
const IDLE_MS = 90_000;

interface Client {
	readonly inside: udp.ConnectedSocket<"buffer">;
	usedAt: number;
}

/** Takes datagrams at the IPv6 address and sends each client's on from a port of its own, which the answers come back to. Rejects with the kernel's error code. */
export async function relayUdp(host: string, port: number, first: Target, budget: Budget): Promise<Relayed> {
	const outside = createSocket({ type: "udp6", ipv6Only: true });
	const clients = new Clients(outside, first, budget);
	await bound(outside, host, port);
	outside.on("message", (bytes, from) => clients.pass(bytes, from.address, from.port));
	const sweeping = setInterval(() => clients.forgetIdle(Date.now() - IDLE_MS), IDLE_MS / 3);
	return {
		aim(next) {
			clients.forgetIdle(Number.POSITIVE_INFINITY);
			clients.target = next;
		},
		close() {
			clearInterval(sweeping);
			clients.forgetIdle(Number.POSITIVE_INFINITY);
			outside.close();
		},
	};
}

function bound(socket: Socket, address: string, port: number): Promise<void> {
	return new Promise((resolve, reject) => {
		socket.once("error", reject);
		socket.bind({ address, port }, () => {
			socket.off("error", reject);
			// An answer that cannot be delivered is lost, as the network loses them.
			socket.on("error", () => {});
			resolve();
		});
	});
}

/** In the order of their last use. */
class Clients {
	private readonly known = new Map<string, Client>();

	constructor(
		private readonly outside: Socket,
		public target: Target,
		private readonly budget: Budget,
	) {}

	pass(bytes: Uint8Array, address: string, port: number): void {
		const key = `${address} ${port}`;
		const client = this.known.get(key) ?? this.meet(address, port);
		if (!client) return;
		client.usedAt = Date.now();
		this.known.delete(key);
		this.known.set(key, client);
		this.trySend(() => client.inside.send(bytes));
	}

	forgetIdle(before: number): void {
		for (const [key, client] of this.known) if (client.usedAt < before) this.forget(key, client);
	}

	private meet(address: string, port: number): Client | undefined {
		const [oldest] = this.known;
		if (oldest && (this.known.size >= MAX_CLIENTS || this.budget.left <= 0)) this.forget(...oldest);
		if (this.budget.left <= 0) return undefined;
		const inside = connected(this.target, address === "::1", (bytes) => {
			if (client) client.usedAt = Date.now();
			this.trySend(() => this.outside.send(bytes, port, address));
		});
		const client = inside && { inside, usedAt: Date.now() };
		if (client) this.budget.left--;
		return client;
	}

	/** A datagram that cannot be sent (a policy drops it, the socket has just been closed) is lost, as the network loses them. */
	private trySend(send: () => unknown): void {
		try {
			send();
		} catch {
			// lost
		}
	}

	private forget(key: string, { inside }: Client): void {
		this.known.delete(key);
		this.budget.left++;
		inside.close();
	}
}

/** The socket is there when udpSocket() returns; only its result comes as a promise. undefined where there is no way to the target. */
function connected(
	{ address, port }: Target,
	isOfHost: boolean,
	onAnswer: (bytes: Uint8Array) => void,
): udp.ConnectedSocket<"buffer"> | undefined {
	const socket = { data: (_: unknown, bytes: Uint8Array) => onAnswer(bytes), error() {} };
	try {
		const made = Bun.peek(
			Bun.udpSocket({ ...(!isOfHost && { hostname: RELAY_SOURCE }), connect: { hostname: address, port }, socket }),
		);
		return made instanceof Promise ? undefined : made;
	} catch {
		return undefined;
	}
}
