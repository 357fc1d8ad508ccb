import { type ClientHttp2Session, connect } from "node:http2";
import type { Duplex } from "node:stream";
import type { BuildClient, SyncRequest, TreeReceiver } from "../../engine/build/contract.ts";
import { EngineError } from "../../shared/errors.ts";
import { Changes } from "./changes.ts";
import { receiveTree } from "./filesync.ts";
import { byteStream, CODES, callUnary, GrpcError, type Metadata, type OpenCall, openCall } from "./grpc.ts";
import {
	bytesMessage,
	checkAgentRequest,
	credentialsRequest,
	credentialsResponse,
	nothing,
	secretRequest,
	secretResponse,
} from "./messages.ts";

type Credentials = NonNullable<Awaited<ReturnType<BuildClient["credentials"]>>>;

/** How long a build waits for the session that it names. */
const WAIT_MS = 5_000;
const CONNECTION = { settings: { initialWindowSize: 1 << 20 } };

/** A client that has lent us its connection: we call its services. */
export class ClientSession implements BuildClient {
	private readonly http2: ClientHttp2Session;
	readonly closed: Promise<void>;

	/** @param methods `/service/Method` of all that the client serves, in lower case */
	constructor(
		socket: Duplex,
		readonly sharedKey: string,
		private readonly methods: ReadonlySet<string>,
	) {
		this.http2 = connect("http://localhost", { ...CONNECTION, createConnection: () => socket });
		const { promise, resolve } = Promise.withResolvers<void>();
		this.closed = promise;
		this.http2.on("error", () => this.http2.destroy());
		this.http2.on("close", () => resolve());
		const over = () => {
			this.http2.destroy();
			socket.destroy();
			resolve();
		};
		// A client that says no more is served no more.
		for (const event of ["end", "close"]) socket.on(event, over);
	}

	close(): void {
		this.http2.destroy();
	}

	/**
	 * Resolves when the client has answered over it, or is gone. Docker CLIs before 23.0 wait for ever when their build ends before they began to
	 * serve.
	 */
	async answers(): Promise<void> {
		const check = callUnary(this.http2, "/grpc.health.v1.Health/Check", { request: nothing, response: nothing }, {});
		await Promise.race([check.catch(() => {}), this.closed]);
	}

	async sync(request: SyncRequest, receiver: TreeReceiver): Promise<void> {
		const metadata = headersOf({
			"dir-name": [request.name],
			...(request.include.length > 0 && { "include-patterns": request.include }),
			...(request.exclude.length > 0 && { "exclude-patterns": request.exclude }),
			...(request.follow.length > 0 && { followpaths: request.follow }),
		});
		const call = openCall(this.http2, "/moby.filesync.v1.FileSync/DiffCopy", metadata, request.signal);
		try {
			await receiveTree(call, receiver);
		} catch (error) {
			throw worded(error);
		} finally {
			call.cancel();
		}
	}

	async secret(id: string): Promise<Uint8Array | undefined> {
		const path = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
		if (!this.serves(path)) return undefined;
		try {
			return (await callUnary(this.http2, path, { request: secretRequest, response: secretResponse }, { ID: id })).data;
		} catch (error) {
			if (error instanceof GrpcError && error.code === CODES.notFound) return undefined;
			throw worded(error);
		}
	}

	async ssh(id: string): Promise<Duplex> {
		const service = "/moby.sshforward.v1.SSH";
		if (!this.serves(`${service}/ForwardAgent`))
			throw new EngineError("invalid", "no SSH key forwarded from the client");
		try {
			await callUnary(
				this.http2,
				`${service}/CheckAgent`,
				{ request: checkAgentRequest, response: nothing },
				{ ID: id },
			);
		} catch (error) {
			throw worded(error);
		}
		return byteStream(openCall(this.http2, `${service}/ForwardAgent`, { "buildkit.ssh.id": id }), bytesMessage);
	}

	async credentials(host: string): Promise<Credentials | undefined> {
		const path = "/moby.filesync.v1.Auth/Credentials";
		if (!this.serves(path)) return undefined;
		const codecs = { request: credentialsRequest, response: credentialsResponse };
		const { Username, Secret } = await callUnary(this.http2, path, codecs, { Host: host });
		if (Secret === "") return undefined;
		// Docker keeps an identity token under a name that is none.
		if (Username === "") return { identityToken: Secret, serverAddress: host };
		return { username: Username, password: Secret, serverAddress: host };
	}

	async *upload(url: string): AsyncGenerator<Uint8Array> {
		const { pathname, host } = new URL(url);
		const call = openCall(this.http2, "/moby.upload.v1.Upload/Pull", { urlpath: pathname, urlhost: host });
		call.end();
		try {
			for await (const message of call.messages) yield bytesMessage.decode(message).data;
		} finally {
			call.cancel();
		}
	}

	/** A call of `FileSend`: what is written goes to the client's exporter of this number. */
	send(exporter: number, signal: AbortSignal): OpenCall {
		const headers = { "buildkit-attachable-exporter-id": String(exporter) };
		return openCall(this.http2, "/moby.filesync.v1.FileSend/DiffCopy", headers, signal);
	}

	private serves(path: string): boolean {
		return this.methods.has(path.toLowerCase());
	}
}

/** Header values are ASCII: others are written as in a URL's query, and a header says so. */
function headersOf(values: Readonly<Record<string, readonly string[]>>): Metadata {
	const found: Record<string, string | readonly string[]> = {};
	for (const [name, all] of Object.entries(values)) {
		const odd = all.some((one) => /[^\x20-\x7e]/.test(one));
		found[name] = odd ? all.map((one) => encodeURIComponent(one).replaceAll("%20", "+")) : all;
		if (odd) found[`${name}-encoded`] = "1";
	}
	return found;
}

function worded(error: unknown): unknown {
	return error instanceof GrpcError ? new EngineError("invalid", error.message, { cause: error }) : error;
}

/** Sessions by the id that their client gave them. */
export class BuildSessions {
	private readonly open = new Map<string, ClientSession>();
	private readonly changes = new Changes();

	/** Reads the headers of a client that offers a session; what it returns takes its connection over, until either side closes it. */
	accept(header: (name: string) => string | undefined): (connection: Duplex) => ClientSession {
		const id = header("x-docker-expose-session-uuid") ?? "";
		if (id === "") throw new EngineError("invalid", "the session has no id");
		if (this.open.has(id)) throw new EngineError("conflict", `session ${id} already exists`);
		// Headers of one name come joined.
		const methods = (header("x-docker-expose-session-grpc-method") ?? "").split(",");
		const served = new Set(methods.map((name) => name.trim().toLowerCase()));
		const sharedKey = header("x-docker-expose-session-sharedkey") ?? "";
		return (connection) => {
			const session = new ClientSession(connection, sharedKey, served);
			this.open.set(id, session);
			void session.closed.then(() => {
				if (this.open.get(id) === session) this.open.delete(id);
			});
			this.changes.tell();
			return session;
		};
	}

	/** The session of this id, which may be about to come. */
	async get(id: string, signal: AbortSignal): Promise<ClientSession> {
		for (const late = AbortSignal.any([AbortSignal.timeout(WAIT_MS), signal]); ; ) {
			const found = this.open.get(id);
			if (found) return found;
			if (late.aborted) throw new EngineError("not-found", `no active session for ${id}`);
			await this.changes.next(late);
		}
	}

	close(): void {
		for (const session of this.open.values()) session.close();
	}
}
