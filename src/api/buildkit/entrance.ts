import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { BuildKitServer } from "./serve.ts";

/** Paths whose upgraded sockets speak BuildKit's protocol. */
export function buildKitTarget(method: string, path: string): "grpc" | "session" | undefined {
	if (method !== "POST") return undefined;
	const bare = path.split("?", 1)[0];
	return bare === "/grpc" ? "grpc" : bare === "/session" ? "session" : undefined;
}

/** Where sockets that left HTTP/1.1 are handed to BuildKit's services. Those, and HTTP/2, are loaded with the first: builds are rare. */
export class BuildKitEntrance {
	private server: Promise<BuildKitServer> | undefined;

	constructor(private readonly create: () => Promise<BuildKitServer>) {}

	/** Takes the socket over, or throws what is to be answered on it. */
	async accept(kind: "grpc" | "session", message: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
		this.server ??= this.create();
		(await this.server).accept(kind, message, socket, head);
	}

	close(): void {
		void this.server?.then((server) => server.close());
	}
}
