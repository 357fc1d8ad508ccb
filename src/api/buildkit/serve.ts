import type { IncomingMessage } from "node:http";
import { performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import type { BuildLine, BuildRequest } from "../../engine/build/contract.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { controlMethods } from "./control.ts";
import { failureOf } from "./failure.ts";
import { gatewayMethods } from "./gateway.ts";
import { type Method, serveCall } from "./grpc.ts";
import { healthMethods } from "./health.ts";
import { type HttpBuild, httpBuild } from "./http-build.ts";
import { BuildJobs } from "./jobs.ts";
import type { BuildKitParts } from "./parts.ts";
import { BuildSessions } from "./session.ts";
import { BuildUploads } from "./uploads.ts";

/** A window per stream that holds some messages; the default is one of them. A build has three calls open at most, and a connection some dozen builds. */
const SETTINGS = { settings: { initialWindowSize: 1 << 20, maxConcurrentStreams: 1024 } };

/** Speaks BuildKit's protocol on sockets that have left HTTP/1.1: serves it on `/grpc`, calls the client on `/session`. */
export class BuildKitServer {
	private readonly methods: ReadonlyMap<string, Method>;

	constructor(private readonly parts: BuildKitParts) {
		this.methods = new Map([...controlMethods(parts), ...gatewayMethods(parts), ...healthMethods()]);
	}

	/** Takes the socket over, or throws what is to be answered on it. */
	accept(kind: "grpc" | "session", message: IncomingMessage, socket: Duplex, head: Buffer): void {
		const protocol = message.headers.upgrade ?? "";
		if (protocol === "") throw new EngineError("invalid", "no upgrade proto in request");
		if (protocol !== "h2c") throw new EngineError("invalid", `protocol ${protocol} not supported`);
		const session =
			kind === "session" ? this.parts.sessions.accept((name) => [message.headers[name]].flat().join(",")) : undefined;
		socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
		if (head.length > 0) socket.unshift(head);
		if (session) session(socket);
		else this.serve(socket);
	}

	/** `POST /build?version=2`; its lines. */
	build(request: BuildRequest, asked: HttpBuild): AsyncIterable<readonly BuildLine[]> {
		return httpBuild(this.parts, request, asked);
	}

	/** The context of such a build; resolves when it is read, or the build is over. */
	async upload(id: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
		if (!this.parts.jobs.isOver(id)) await this.parts.uploads.offer(id, body, signal);
	}

	/** One that is not there is no error, as with dockerd. */
	cancel(id: string): void {
		this.parts.jobs.cancel(id);
	}

	close(): void {
		this.parts.jobs.cancelAll();
		this.parts.sessions.close();
	}

	private serve(socket: Duplex): void {
		const session = performServerHandshake(socket as never, SETTINGS) as ServerHttp2Session;
		// An error that nobody takes would end the process.
		session.on("error", (error) => this.parts.log.debug("buildkit connection broken off", { error: messageOf(error) }));
		session.on("stream", (stream: ServerHttp2Stream, headers) => {
			void serveCall(stream, headers, this.methods, failureOf);
		});
	}
}

export function createBuildKitServer(parts: Omit<BuildKitParts, "jobs" | "sessions" | "uploads">): BuildKitServer {
	return new BuildKitServer({
		...parts,
		jobs: new BuildJobs(),
		sessions: new BuildSessions(),
		uploads: new BuildUploads(),
	});
}
