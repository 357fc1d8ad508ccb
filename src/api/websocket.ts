import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type RawData, WebSocketServer } from "ws";
import { whenEnded } from "../shared/stream-end.ts";
import { DetachScanner } from "./detach-keys.ts";
import type { Session } from "./hijack.ts";

/** Attaches a WebSocket: binary messages either way. Output comes without docker's frames, stdout and stderr as one, as dockerd sends it. */
export function joinWebSocket(request: IncomingMessage, socket: Duplex, head: Buffer, session: Session): void {
	const server = new WebSocketServer({ noServer: true });
	server.handleUpgrade(request, socket, head, (client) => {
		const { stream } = session;
		const scanner = session.detachKeys ? new DetachScanner(session.detachKeys) : undefined;
		const payloads = session.tty ? (chunk: Uint8Array) => [chunk] : createUnframer();
		client.on("message", (data) => {
			if (!session.stdin || !stream.writable) return;
			const { pass, detached } = scanner?.push(bytesOf(data)) ?? { pass: bytesOf(data), detached: false };
			if (pass.length > 0 && !stream.write(pass)) {
				client.pause();
				stream.once("drain", () => client.resume());
			}
			if (!detached) return;
			session.detached();
			client.close(1000);
		});
		client.on("close", () => void stream.destroy());
		client.on("error", () => client.terminate());
		stream.on("data", (chunk: Uint8Array) => {
			for (const payload of payloads(chunk)) {
				stream.pause();
				client.send(payload, { binary: true }, () => stream.resume());
			}
		});
		whenEnded(stream, () => client.close(1000));
		stream.on("error", () => client.close(1011));
		// A stream may come paused, so that nothing is lost before its listeners are there.
		stream.resume();
	});
}

function bytesOf(data: RawData): Uint8Array {
	if (Array.isArray(data)) return Buffer.concat(data);
	return Buffer.isBuffer(data) ? data : Buffer.from(data);
}

const HEADER_BYTES = 8;

/** Takes docker's frames off a stream that may be cut anywhere; gives the payload bytes of each chunk. */
export function createUnframer(): (chunk: Uint8Array) => Uint8Array[] {
	const header = Buffer.alloc(HEADER_BYTES);
	let headerBytes = 0;
	let left = 0;
	return (chunk) => {
		const payloads: Uint8Array[] = [];
		for (let at = 0; at < chunk.length; ) {
			if (left > 0) {
				const payload = chunk.subarray(at, at + left);
				payloads.push(payload);
				left -= payload.length;
				at += payload.length;
				continue;
			}
			header[headerBytes++] = chunk[at++] ?? 0;
			if (headerBytes < HEADER_BYTES) continue;
			headerBytes = 0;
			left = header.readUInt32BE(4);
		}
		return payloads;
	};
}
