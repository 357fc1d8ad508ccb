import { afterEach, expect, test } from "bun:test";
import { connect, performServerHandshake } from "node:http2";
import { type AddressInfo, createServer, connect as tcp } from "node:net";
import { PassThrough } from "node:stream";
import {
	CODES,
	callUnary,
	GrpcError,
	type Method,
	messagesOf,
	openCall,
	serveCall,
	servedBytes,
	serverStream,
	unary,
} from "./grpc.ts";
import { bytesMessage } from "./messages.ts";
import { field, message, string } from "./protobuf.ts";

const text = message({ text: field(1, string) });
const closing: (() => void)[] = [];
afterEach(() => {
	for (const close of closing.splice(0)) close();
});

/** A server of these methods on a socket of its own, and a client of it. */
async function pair(methods: Record<string, Method>) {
	const server = createServer((socket) => {
		const session = performServerHandshake(socket as never);
		session.on("error", () => {});
		session.on("stream", (stream, headers) => {
			const failure = (error: unknown) =>
				error instanceof GrpcError ? error : new GrpcError(CODES.unknown, String(error));
			void serveCall(stream as never, headers as never, new Map(Object.entries(methods)), failure);
		});
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as AddressInfo;
	const socket = tcp(port, "127.0.0.1");
	const client = connect("http://localhost", { createConnection: () => socket });
	client.on("error", () => {});
	closing.push(() => {
		client.destroy();
		socket.destroy();
		server.close();
	});
	return client;
}

const codecs = { request: text, response: text };

test("a call answers with one message; its headers are read", async () => {
	const client = await pair({
		"/s/Upper": unary(text, text, (request, call) => ({ text: request.text.toUpperCase() + call.metadata("who") })),
	});
	const options = { metadata: { who: "me" } };
	expect(await callUnary(client, "/s/Upper", codecs, { text: "ab" }, options)).toEqual({ text: "ABme" });
	expect(await callUnary(client, "/s/Upper", codecs, {}, options)).toEqual({ text: "me" });
});

test("errors come with their code and text, whatever is in it", async () => {
	const client = await pair({ "/s/Fail": () => Promise.reject(new GrpcError(CODES.notFound, "nö 100%\n")) });
	const failed = callUnary(client, "/s/Fail", codecs, {});
	await expect(failed).rejects.toMatchObject({ code: CODES.notFound, message: "nö 100%\n" });
	await expect(callUnary(client, "/s/None", codecs, {})).rejects.toMatchObject({ code: CODES.unimplemented });
});

test("many and large messages come whole and in order", async () => {
	const sizes = [0, 1, 70_000, 3, 2_000_000, ...Array.from({ length: 300 }, (_, i) => i)];
	const client = await pair({
		"/s/Many": serverStream(text, bytesMessage, async (_, send) => {
			for (const size of sizes) await send({ data: new Uint8Array(size).fill(size % 251) });
		}),
	});
	const call = openCall(client, "/s/Many", {});
	await call.send(new Uint8Array(0));
	call.end();
	const found: number[] = [];
	for await (const one of call.messages) {
		const { data } = bytesMessage.decode(one);
		expect(data.every((byte) => byte === data.length % 251)).toBe(true);
		found.push(data.length);
	}
	expect(found).toEqual(sizes);
});

test("a client that cancels is told to the method", async () => {
	const { promise, resolve } = Promise.withResolvers<void>();
	const client = await pair({
		"/s/Wait": async ({ signal }) => {
			signal.addEventListener("abort", () => resolve());
			await promise;
		},
	});
	const call = openCall(client, "/s/Wait", {});
	await call.send(new Uint8Array(0));
	await Bun.sleep(20);
	call.cancel();
	await promise;
});

test("a message that claims to be huge ends the call", async () => {
	const client = await pair({ "/s/Upper": unary(text, text, (request) => request) });
	const call = openCall(client, "/s/Upper", {});
	call.stream.write(Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1]));
	const read = async () => {
		for await (const _ of call.messages);
	};
	await expect(read()).rejects.toMatchObject({ code: CODES.invalid });
});

test("a reader that has left keeps nothing of what still comes; a slow one holds the sender back", async () => {
	const stream = new PassThrough();
	const one = Buffer.concat([Buffer.from([0, 0, 0, 0, 3]), Buffer.from("abc")]);
	stream.write(Buffer.concat(Array.from({ length: 100 }, () => one)));
	for await (const message of messagesOf(stream)) {
		expect(Buffer.from(message).toString()).toBe("abc");
		expect(stream.isPaused()).toBe(true);
		break;
	}
	expect(stream.listenerCount("data")).toBe(0);
});

test("a message that is refused is not kept either", async () => {
	const stream = new PassThrough();
	stream.write(Buffer.from([1, 0, 0, 0, 1, 0]));
	await expect(messagesOf(stream).next()).rejects.toMatchObject({ code: CODES.unimplemented });
	expect(stream.listenerCount("data")).toBe(0);
});

test("bytes that nobody reads are not fetched; an error that nobody takes ends nothing", async () => {
	let given = 0;
	const messages = async function* () {
		for (; given < 1000; given++) yield bytesMessage.encode({ data: new Uint8Array(60_000) });
		yield new Uint8Array([255]);
	};
	const call = { metadata: () => undefined, signal: new AbortController().signal, send: async () => {} };
	const stream = servedBytes({ ...call, messages: messages() }, bytesMessage);
	await Bun.sleep(5);
	expect(given).toBeLessThan(10);
	let size = 0;
	stream.on("data", (chunk: Buffer) => {
		size += chunk.length;
	});
	await new Promise((resolve) => stream.on("close", resolve));
	expect(size).toBe(60_000_000);
});

test("an error's text that is cut within a character is sent all the same", async () => {
	const client = await pair({
		"/s/Fail": () => Promise.reject(new GrpcError(CODES.unknown, `${"x".repeat(4095)}😀`)),
	});
	await expect(callUnary(client, "/s/Fail", codecs, {})).rejects.toMatchObject({ code: CODES.unknown });
});

test("details that are too long for trailers stay out; the error is told", async () => {
	const details = [{ typeUrl: "x", value: new Uint8Array(100_000) }];
	const client = await pair({ "/s/Fail": () => Promise.reject(new GrpcError(CODES.notFound, "why", details)) });
	await expect(callUnary(client, "/s/Fail", codecs, {})).rejects.toMatchObject({ message: "why" });
});
