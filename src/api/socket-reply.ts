import { once } from "node:events";
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";

/** Writes a web Response on a socket that node's HTTP has let go, chunk by chunk; its end is the connection's. */
export async function writeResponse(socket: Duplex, response: Response, fixed: Record<string, string>): Promise<void> {
	const headers = { ...fixed, ...Object.fromEntries(response.headers), connection: "close" };
	const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
	socket.write(`HTTP/1.1 ${response.status} ${STATUS_CODES[response.status] ?? "Reply"}\r\n${lines.join("")}\r\n`);
	const reader = response.body?.getReader();
	socket.once("close", () => void reader?.cancel().catch(() => {}));
	while (reader) {
		const { done, value } = await reader.read();
		if (done || socket.destroyed) break;
		if (!socket.write(value)) await Promise.race([once(socket, "drain"), once(socket, "close")]);
	}
	socket.end();
}
