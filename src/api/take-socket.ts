import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/**
 * Takes the connection of a request that asked for no upgrade out of HTTP, as Go's Hijack does: what the client sends from now on comes
 * raw from the returned socket, and nothing has been answered yet. The request's body must have been read.
 *
 * node:http has no such call; Bun makes it for `upgrade` and keeps it behind symbols, which are looked up by their names. Undefined when
 * this Bun has them no longer: the caller can then only answer. `plain attach` in api.test.ts tells.
 */
export function takeSocket(message: IncomingMessage, reply: ServerResponse): Duplex | undefined {
	const socket = message.socket as Duplex;
	const connection = hidden(socket, "handle") as { upgradeToTunnel?: (hasBody: boolean, response: unknown) => void };
	const response = hidden(reply, "handle");
	const stream = hidden(socket, "kEnableStreaming");
	const slot = symbolOf(socket, "kHandoffResponse");
	if (!connection?.upgradeToTunnel || !response || typeof stream !== "function" || !slot) return undefined;
	reply.detachSocket(message.socket);
	connection.upgradeToTunnel(false, response);
	Reflect.set(socket, slot, response);
	stream.call(socket, true);
	return socket;
}

function hidden(target: object, description: string): unknown {
	const symbol = symbolOf(target, description);
	return symbol && Reflect.get(target, symbol);
}

function symbolOf(target: object, description: string): symbol | undefined {
	for (let level: object | null = target; level; level = Object.getPrototypeOf(level)) {
		const found = Object.getOwnPropertySymbols(level).find((symbol) => symbol.description === description);
		if (found) return found;
	}
	return undefined;
}
