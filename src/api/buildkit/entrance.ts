import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { BuildLine, BuildRequest } from "../../engine/build/contract.ts";
import type { HttpBuild } from "./http-build.ts";
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
		(await this.opened()).accept(kind, message, socket, head);
	}

	/** `POST /build?version=2`; its lines. */
	async *build(request: BuildRequest, asked: HttpBuild): AsyncGenerator<readonly BuildLine[]> {
		yield* (await this.opened()).build(request, asked);
	}

	/** The context of such a build, in a request of its own; resolves when it is read. */
	async upload(id: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
		await (await this.opened()).upload(id, body, signal);
	}

	/** Ends such a build. */
	async cancel(id: string): Promise<void> {
		(await this.server)?.cancel(id);
	}

	private opened(): Promise<BuildKitServer> {
		this.server ??= this.create();
		return this.server;
	}

	close(): void {
		void this.server?.then((server) => server.close());
	}
}
