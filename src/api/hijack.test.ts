import { afterEach, beforeEach, expect, test } from "bun:test";
import { connect } from "node:net";
import { Duplex } from "node:stream";
import WebSocket from "ws";
import { frame, STDERR, STDOUT } from "../shared/stdcopy.ts";
import { echoStream, type FakeContainers, fakeRecord } from "./testing/fakes.ts";
import { serveTestApi, type TestApi } from "./testing/serve.ts";

const RUNNING = { status: "running", pid: 7, startedAt: new Date().toISOString() } as const;
const UPGRADE = "HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n";

let api: TestApi;
let path: string;
let containers: FakeContainers;

beforeEach(async () => {
	api = await serveTestApi();
	({ path, containers } = api);
});

afterEach(async () => {
	await api.close();
});

/** Sends bytes as they are. */
function raw(request: string) {
	const socket = connect({ path, allowHalfOpen: true });
	let text = "";
	let ended = false;
	socket.on("data", (chunk) => {
		text += chunk.toString("latin1");
	});
	socket.on("end", () => {
		ended = true;
	});
	socket.write(request);
	const until = async (done: () => boolean) => {
		for (let i = 0; i < 1000 && !done(); i++) await Bun.sleep(2);
		if (!done()) throw new Error(`waited in vain, got: ${text}`);
		return text;
	};
	return {
		socket,
		got: () => text,
		has: (part: string) => until(() => text.includes(part)),
		end: () => until(() => ended),
	};
}

test("plain attach, without Upgrade: both ways flow and input half-closes, on a connection used before", async () => {
	containers.add(fakeRecord("web", RUNNING));
	const client = raw("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
	await client.has("OK");
	client.socket.write(
		"POST /containers/web/attach?stdin=1&stdout=1&stream=1 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n",
	);
	await client.has("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n");
	client.socket.write("hello");
	await client.has("hello");
	client.socket.end("last");
	expect(await client.end()).toEndWith("last");
});

test("plain exec start: the body is read, what follows is input; an error is an ordinary reply", async () => {
	const start = "POST /exec/e1/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n";
	const client = raw(`${start}Content-Length: 16\r\n\r\n{"Detach":false}`);
	await client.has("raw-stream\r\n\r\n");
	client.socket.end("typed");
	expect(await client.end()).toEndWith("raw-stream\r\n\r\ntyped");
	const refused = raw(`${start}Content-Length: 1\r\n\r\n{`);
	expect(await refused.has("invalid JSON")).toContain("HTTP/1.1 400 Bad Request");
	refused.socket.destroy();
});

test("an upgrade that waits for 100 Continue gets it", async () => {
	const client = raw(
		`POST /exec/e1/start ${UPGRADE}Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`,
	);
	await client.has("HTTP/1.1 100 Continue\r\n\r\n");
	client.socket.end("{}");
	expect(await client.has("101 UPGRADED")).toContain("101 UPGRADED");
	client.socket.destroy();
});

test("a stream that ended before anyone listened ends the client's, too", async () => {
	containers.add(fakeRecord("web", RUNNING));
	const stream = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
	stream.push(null);
	stream.resume();
	await Bun.sleep(1);
	stream.pause();
	expect(stream.readableEnded).toBe(true);
	containers.stream = () => stream;
	const client = raw(`POST /containers/web/attach?stdout=1&stream=1 ${UPGRADE}\r\n`);
	expect(await client.end()).toEndWith("\r\n\r\n");
	client.socket.destroy();
});

test("a client that still sends when the output ends gets all of it, and no reset", async () => {
	containers.add(fakeRecord("web", RUNNING));
	const stream = new Duplex({ read: () => {}, write: () => {} });
	containers.stream = () => stream;
	const socket = connect({ path, allowHalfOpen: true });
	let got = "";
	const ended = new Promise<string>((resolve) => {
		socket.on("data", (chunk) => {
			got += chunk;
		});
		socket.on("end", () => resolve("end")).on("error", (error) => resolve(error.message));
	});
	socket.write(`POST /containers/web/attach?stdin=1&stdout=1&stream=1 ${UPGRADE}\r\n`);
	while (!got.includes("\r\n\r\n")) await Bun.sleep(1);
	for (let i = 0; i < 8; i++) socket.write(Buffer.alloc(1024 * 1024));
	await Bun.sleep(20);
	stream.push("the last words");
	stream.push(null);
	expect(await ended).toBe("end");
	expect(got).toEndWith("the last words");
	socket.destroy();
});

async function webSocket(query: string) {
	containers.add(fakeRecord("web", RUNNING));
	const client = new WebSocket(`ws+unix://${path}:/v1.51/containers/web/attach/ws?${query}`);
	const messages: { text: string; binary: boolean }[] = [];
	client.on("message", (data, binary) => messages.push({ text: String(data), binary }));
	const closed = new Promise<number>((resolve) => client.on("close", resolve));
	await new Promise((resolve, reject) => client.once("open", resolve).once("error", reject));
	const until = async (count: number) => {
		for (let i = 0; i < 1000 && messages.length < count; i++) await Bun.sleep(2);
		return messages;
	};
	return { client, until, closed };
}

test("a WebSocket attaches: binary messages without docker's frames, closed with 1000 at the end of output", async () => {
	const got: string[] = [];
	const stream = new Duplex({
		read: () => {},
		write: (chunk, _encoding, done) => {
			got.push(String(chunk));
			done();
		},
	});
	containers.stream = () => stream;
	const { client, until, closed } = await webSocket("stream=1&stdin=1&stdout=1&stderr=1");
	client.send("typed");
	const frames = Buffer.concat([frame(STDOUT, Buffer.from("out")), frame(STDERR, Buffer.from("err"))]);
	stream.push(frames.subarray(0, 5));
	stream.push(frames.subarray(5));
	expect(await until(2)).toEqual([
		{ text: "out", binary: true },
		{ text: "err", binary: true },
	]);
	stream.push(null);
	expect(await closed).toBe(1000);
	expect(got).toEqual(["typed"]);
});

test("a WebSocket on a terminal detaches by its keys", async () => {
	containers.tty = true;
	const { client, until, closed } = await webSocket("stream=1&stdin=1&stdout=1&detachKeys=ctrl-a");
	client.send("x");
	expect(await until(1)).toEqual([{ text: "x", binary: true }]);
	client.send(Buffer.of(1));
	expect(await closed).toBe(1000);
	expect(containers.detachedCount).toBe(1);
});

test("a head of 200 KB is read, one of 2 MB refused, and others are served meanwhile", async () => {
	const large = raw(`GET /_ping HTTP/1.1\r\nHost: d\r\nX-A: ${"a".repeat(200_000)}\r\n\r\n`);
	expect(await large.has("200 OK")).toContain("HTTP/1.1 200 OK");
	const huge = raw(`GET /_ping HTTP/1.1\r\nHost: d\r\nX-A: ${"a".repeat(2_000_000)}\r\n\r\n`);
	// the refusal may be overtaken by the reset that closing with unread input brings
	const closed = new Promise<string>((resolve) =>
		huge.socket.on("error", () => {}).on("close", () => resolve("closed")),
	);
	expect(await closed).toBe("closed");
	expect(huge.got()).not.toContain("200 OK");
	const other = raw("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
	expect(await other.has("200 OK")).toContain("200 OK");
	for (const { socket } of [large, huge, other]) socket.destroy();
});

test("a Python client gets the head by itself, and the output after it", async () => {
	containers.add(fakeRecord("web", RUNNING));
	for (const agent of ["docker-sdk-python/5.0.3", "docker-compose/1.29.2 Linux", "Docker-Client/28.2 (linux)"]) {
		containers.stream = () => echoStream("first output");
		const socket = connect(path);
		const chunks: { at: number; text: string }[] = [];
		socket.on("data", (chunk) => chunks.push({ at: performance.now(), text: chunk.toString() }));
		socket.write(`POST /v1.51/containers/web/attach?stream=1&stdout=1 ${UPGRADE}User-Agent: ${agent}\r\n\r\n`);
		while (!chunks.some(({ text }) => text.includes("first output"))) await Bun.sleep(1);
		const [head, output] = [chunks[0], chunks.at(-1)];
		const apart = (output?.at ?? 0) - (head?.at ?? 0);
		expect(apart >= 10).toBe(!agent.startsWith("Docker-Client"));
		socket.destroy();
	}
});
