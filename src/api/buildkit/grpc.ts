import type { ClientHttp2Session, ServerHttp2Stream } from "node:http2";
import { Duplex, type Readable, type Writable } from "node:stream";
import { messageOf } from "../../shared/errors.ts";
import { status } from "./messages.ts";
import type { Codec } from "./protobuf.ts";

/**
 * gRPC over node:http2: the messages' five bytes of head, and the status in the trailers. Both ways: we serve `/grpc`, and call the client over
 * `/session`. Source: grpc/grpc, doc/PROTOCOL-HTTP2.md.
 */
export const CODES = {
	ok: 0,
	cancelled: 1,
	unknown: 2,
	invalid: 3,
	notFound: 5,
	exists: 6,
	unimplemented: 12,
	unavailable: 14,
} as const;

/** A call's failure: `details` say more to clients that know their types. */
export class GrpcError extends Error {
	constructor(
		readonly code: number,
		message: string,
		readonly details: readonly { readonly typeUrl: string; readonly value: Uint8Array }[] = [],
	) {
		super(message);
	}
}

/** A message that is larger is an attack: BuildKit's own clients send 16 MiB at most. */
const MAX_MESSAGE_BYTES = 32 << 20;
const HEAD_BYTES = 5;

export type Metadata = Readonly<Record<string, string | readonly string[]>>;

/** One call as its server sees it. */
export interface ServedCall {
	/** A header of the call; of several the first. */
	metadata(name: string): string | undefined;
	/** The client has left or cancelled. */
	readonly signal: AbortSignal;
	readonly messages: AsyncIterable<Uint8Array>;
	/** Resolves once there is room for more. */
	send(message: Uint8Array): Promise<void>;
}

export type Method = (call: ServedCall) => Promise<void>;

/** One message in, one out. */
export function unary<Q, R>(
	request: Codec<Q>,
	response: Codec<R>,
	handle: (request: Q, call: ServedCall) => Promise<Partial<R>> | Partial<R>,
): Method {
	return async (call) => call.send(response.encode(await handle(await onlyMessage(call, request), call)));
}

/** One message in, any number out. */
export function serverStream<Q, R>(
	request: Codec<Q>,
	response: Codec<R>,
	handle: (request: Q, send: (one: Partial<R>) => Promise<void>, call: ServedCall) => Promise<void>,
): Method {
	return async (call) => handle(await onlyMessage(call, request), (one) => call.send(response.encode(one)), call);
}

async function onlyMessage<Q>(call: ServedCall, codec: Codec<Q>): Promise<Q> {
	for await (const message of call.messages) return decoded(codec, message);
	throw new GrpcError(CODES.invalid, "the call has no message");
}

export function decoded<Q>(codec: Codec<Q>, message: Uint8Array): Q {
	try {
		return codec.decode(message);
	} catch (error) {
		throw new GrpcError(CODES.invalid, messageOf(error));
	}
}

/** Serves one stream; never throws. */
export async function serveCall(
	stream: ServerHttp2Stream,
	headers: Readonly<Record<string, string | string[] | undefined>>,
	methods: ReadonlyMap<string, Method>,
	failure: (error: unknown) => GrpcError,
): Promise<void> {
	const gone = new AbortController();
	stream.on("error", () => gone.abort());
	stream.on("close", () => gone.abort());
	let trailers: Record<string, string> = { "grpc-status": "0" };
	stream.on("wantTrailers", () => {
		if (!stream.destroyed) stream.sendTrailers(trailers);
	});
	try {
		stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
		const method = methods.get(String(headers[":path"]));
		if (!method) throw new GrpcError(CODES.unimplemented, `unknown method ${headers[":path"]}`);
		const call: ServedCall = {
			metadata: (name) => [headers[name]].flat()[0],
			signal: gone.signal,
			messages: messagesOf(stream),
			send: (message) => sendMessage(stream, message),
		};
		await method(call);
	} catch (error) {
		trailers = trailersOf(failure(error));
	}
	if (stream.destroyed) return;
	stream.resume();
	stream.end();
}

/** Characters: node:http2 ends the whole connection over trailers of more than 64 KiB. */
const MAX_DETAILS = 32 << 10;

function trailersOf({ code, message, details }: GrpcError): Record<string, string> {
	const bytes = Buffer.from(status.encode({ code, message, details })).toString("base64").replace(/=+$/, "");
	const areSent = details.length > 0 && bytes.length <= MAX_DETAILS;
	return {
		"grpc-status": String(code),
		// Anything but printable ASCII, and the sign itself, is written as %XX.
		"grpc-message": encodeURIComponent(message.slice(0, 4096).toWellFormed()).replaceAll("%20", " "),
		...(areSent && { "grpc-status-details-bin": bytes }),
	};
}

async function sendMessage(stream: Writable, message: Uint8Array): Promise<void> {
	if (stream.destroyed || stream.writableEnded) throw new GrpcError(CODES.cancelled, "the client has left");
	const whole = Buffer.allocUnsafe(HEAD_BYTES + message.length);
	whole[0] = 0;
	whole.writeUInt32BE(message.length, 1);
	whole.set(message, HEAD_BYTES);
	if (stream.write(whole)) return;
	await new Promise<void>((resolve) => {
		const done = () => {
			stream.off("drain", done);
			stream.off("close", done);
			resolve();
		};
		stream.on("drain", done);
		stream.on("close", done);
	});
}

/** Messages that wait for their reader, and their bytes; more of them hold the sender back. */
const WINDOW = 64;
const WINDOW_BYTES = 4 << 20;

/**
 * Messages as they come. Throws GrpcError for what is compressed or too large. By events: an iterator over Bun's http2 streams fails at their
 * end with "Premature close".
 */
export async function* messagesOf(stream: Readable): AsyncGenerator<Uint8Array> {
	const queue: Uint8Array[] = [];
	let bytes = 0;
	let failed: unknown;
	let [ended, paused] = [stream.destroyed || stream.readableEnded, false];
	let wake = () => {};
	const cut = messageCutter((message) => {
		queue.push(message);
		bytes += message.length;
	});
	const over = () => {
		ended = true;
		wake();
	};
	const take = (chunk: Buffer) => {
		try {
			cut(chunk);
		} catch (error) {
			failed = error;
			stream.off("data", take);
		}
		if ((queue.length > WINDOW || bytes > WINDOW_BYTES) && !paused) {
			paused = true;
			stream.pause();
		}
		wake();
	};
	stream.on("data", take);
	for (const event of ENDS) stream.on(event, over);
	try {
		for (;;) {
			for (let next = queue.shift(); next; next = queue.shift()) {
				bytes -= next.length;
				yield next;
			}
			if (failed) throw failed;
			if (ended) return;
			if (paused) {
				paused = false;
				stream.resume();
			}
			await new Promise<void>((resolve) => {
				wake = resolve;
			});
		}
	} finally {
		// What comes after the reader has left is dropped, not kept.
		stream.off("data", take);
		for (const event of ENDS) stream.off(event, over);
	}
}

const ENDS = ["end", "close", "error"];

/** Takes bytes as they come and gives whole messages. */
function messageCutter(give: (message: Uint8Array) => void): (chunk: Buffer) => void {
	let parts: Buffer[] = [];
	let size = 0;
	let needed = HEAD_BYTES;
	return (chunk) => {
		parts.push(chunk);
		size += chunk.length;
		if (size < needed) return;
		const whole = parts.length === 1 ? chunk : Buffer.concat(parts);
		let at = 0;
		for (needed = neededAt(whole, at); whole.length - at >= needed; needed = neededAt(whole, at)) {
			give(whole.subarray(at + HEAD_BYTES, at + needed));
			at += needed;
		}
		parts = [whole.subarray(at)];
		size = whole.length - at;
	};
}

/** Bytes that the message which begins there has with its head; as many as the head has while that is not whole. */
function neededAt(bytes: Buffer, at: number): number {
	if (bytes.length - at < HEAD_BYTES) return HEAD_BYTES;
	if (bytes[at] !== 0) throw new GrpcError(CODES.unimplemented, "compressed messages are not understood");
	const length = bytes.readUInt32BE(at + 1);
	if (length > MAX_MESSAGE_BYTES) throw new GrpcError(CODES.invalid, `a message of ${length} bytes is too large`);
	return HEAD_BYTES + length;
}

/** A call that we make. */
export interface OpenCall {
	readonly stream: Duplex;
	/** What the other side sends, to its end; throws its error. */
	readonly messages: AsyncIterable<Uint8Array>;
	send(message: Uint8Array): Promise<void>;
	/** Nothing more is sent. */
	end(): void;
	cancel(): void;
}

export function openCall(
	session: ClientHttp2Session,
	path: string,
	metadata: Metadata,
	signal?: AbortSignal,
): OpenCall {
	if (session.closed || session.destroyed) throw new GrpcError(CODES.unavailable, "the client has left");
	const stream = session.request({
		":method": "POST",
		":scheme": "http",
		":path": path,
		":authority": "localhost",
		"content-type": "application/grpc",
		te: "trailers",
		"user-agent": "grpc-foredeck",
		...(metadata as Record<string, string | string[]>),
	});
	const outcome = Promise.withResolvers<GrpcError | undefined>();
	const take = (headers: Readonly<Record<string, unknown>>) => {
		const code = headers["grpc-status"];
		if (code === undefined) return;
		const text = decodeMessage(String(headers["grpc-message"] ?? ""));
		outcome.resolve(Number(code) === CODES.ok ? undefined : new GrpcError(Number(code), text));
	};
	stream.on("response", take);
	stream.on("trailers", take);
	const broken = () => outcome.resolve(new GrpcError(CODES.unavailable, "the client has left"));
	stream.on("error", broken);
	stream.on("close", broken);
	const cancel = () => stream.close(CANCEL);
	signal?.addEventListener("abort", cancel);
	stream.on("close", () => signal?.removeEventListener("abort", cancel));
	if (signal?.aborted) cancel();
	return {
		stream,
		messages: answersOf(stream, outcome.promise),
		send: (message) => sendMessage(stream, message),
		end: () => void stream.end(),
		cancel,
	};
}

/** RST_STREAM code. Source: RFC 9113, 7. */
const CANCEL = 8;

async function* answersOf(stream: Readable, outcome: Promise<GrpcError | undefined>): AsyncGenerator<Uint8Array> {
	try {
		yield* messagesOf(stream);
	} catch (error) {
		throw (await outcome) ?? error;
	}
	const failed = await outcome;
	if (failed) throw failed;
}

function decodeMessage(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		return text;
	}
}

/** One message out, one in. */
export async function callUnary<Q, R>(
	session: ClientHttp2Session,
	path: string,
	codecs: { readonly request: Codec<Q>; readonly response: Codec<R> },
	request: Partial<Q>,
	options: { readonly metadata?: Metadata; readonly signal?: AbortSignal } = {},
): Promise<R> {
	const call = openCall(session, path, options.metadata ?? {}, options.signal);
	await call.send(codecs.request.encode(request));
	call.end();
	let answer: R | undefined;
	for await (const message of call.messages) answer = decoded(codecs.response, message);
	if (answer === undefined) throw new GrpcError(CODES.unavailable, `${path} answered nothing`);
	return answer;
}

type BytesCodec = Codec<{ readonly data: Uint8Array }>;

/** A call whose messages are a stream of bytes each way, as one stream of bytes. */
export function byteStream(call: OpenCall, codec: BytesCodec): Duplex {
	return duplexOf(call, codec, call);
}

/** The same of a call that we serve. */
export function servedBytes(call: ServedCall, codec: BytesCodec): Duplex {
	return duplexOf(call, codec, { end: () => {}, cancel: () => {} });
}

function duplexOf(
	call: Pick<ServedCall, "messages" | "send">,
	codec: BytesCodec,
	side: { end(): void; cancel(): void },
): Duplex {
	let wanted = () => {};
	const duplex = new Duplex({
		allowHalfOpen: true,
		read: () => wanted(),
		write(chunk: Buffer, _encoding, done) {
			call.send(codec.encode({ data: chunk })).then(() => done(), done);
		},
		final(done) {
			side.end();
			done();
		},
		destroy(error, done) {
			side.cancel();
			wanted();
			done(error);
		},
	});
	const pass = async () => {
		for await (const message of call.messages) {
			if (duplex.push(Buffer.from(decoded(codec, message).data))) continue;
			// A reader that is slow holds the sender back.
			await new Promise<void>((resolve) => {
				wanted = resolve;
			});
			if (duplex.destroyed) return;
		}
		duplex.push(null);
	};
	// An error that nobody takes would end the process.
	duplex.on("error", () => {});
	pass().catch((error: Error) => duplex.destroy(error));
	return duplex;
}
