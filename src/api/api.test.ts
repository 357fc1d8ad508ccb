import { afterEach, beforeEach, expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { Elysia } from "elysia";
import { integer, object, readJson } from "./body.ts";
import { echoStream, type FakeContainers, fakeEvents, fakeRecord } from "./testing/fakes.ts";
import { serveTestApi, type TestApi } from "./testing/serve.ts";

let api: TestApi;
let path: string;
let containers: FakeContainers;

const RUNNING = { status: "running", pid: 7, startedAt: new Date().toISOString() } as const;
const EVENT = {
	Type: "container",
	Action: "start",
	Actor: { ID: "abc", Attributes: { name: "web" } },
	scope: "local",
	time: 1,
	timeNano: 1_795_249_637_123_456_789n,
} as const;

beforeEach(async () => {
	const images = new Elysia()
		.post(
			"/images/load",
			async ({ request }) => {
				let size = 0;
				for await (const part of request.body ?? []) size += part.length;
				return Response.json({ size });
			},
			{ parse: "none" },
		)
		.get("/images/:name/json", ({ params }) => Response.json({ name: params.name }));
	api = await serveTestApi({ events: fakeEvents([EVENT]), extra: [images] });
	({ path, containers } = api);
});

afterEach(async () => {
	await api.close();
});

const call = (url: string, init?: RequestInit) => fetch(`http://d${url}`, { ...init, unix: path } as RequestInit);
const post = (url: string, body?: unknown) =>
	call(url, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: typeof body === "string" ? body : JSON.stringify(body),
	});
const messageOf = async (reply: Response) => ((await reply.json()) as { message: string }).message;

/** A raw client: what it received so far, and a wait for a text in it. */
function raw(text: string) {
	const socket: Socket = connect({ path, allowHalfOpen: true });
	let got = "";
	let ended = false;
	let check = () => {};
	socket.on("data", (chunk) => {
		got += chunk.toString("latin1");
		check();
	});
	socket.on("end", () => {
		ended = true;
		check();
	});
	socket.write(text);
	const until = (test: () => boolean) =>
		new Promise<string>((resolve) => {
			check = () => test() && resolve(got);
			check();
		});
	return {
		socket,
		has: (part: string) => until(() => got.includes(part)),
		end: () => until(() => ended),
		got: () => got,
	};
}

test("ping carries docker's headers, with and without a version", async () => {
	for (const url of ["/_ping", "/v1.24/_ping", "/v1.51/_ping"]) {
		const reply = await call(url);
		expect(await reply.text()).toBe("OK");
		expect(reply.headers.get("api-version")).toBe("1.51");
		expect(reply.headers.get("server")).toBe("Foredeck/0.0.1 (linux)");
		expect(reply.headers.get("ostype")).toBe("linux");
	}
	expect((await call("/_ping", { method: "HEAD" })).status).toBe(200);
});

test("versions out of range are refused in docker's words", async () => {
	const tooNew = await call("/v1.52/info");
	expect(tooNew.status).toBe(400);
	expect(await messageOf(tooNew)).toBe("client version 1.52 is too new. Maximum supported API version is 1.51");
	expect(await (await call("/v1.10/_ping")).text()).toContain("client version 1.10 is too old.");
});

test("unknown paths and methods are page not found", async () => {
	for (const [method, url] of [
		["GET", "/nope"],
		["DELETE", "/info"],
		["GET", "/v1.40/containers/create/x"],
	] as const) {
		const reply = await call(url, { method });
		expect(reply.status).toBe(404);
		expect(await messageOf(reply)).toBe("page not found");
	}
});

test("operations of the API that are missing are named", async () => {
	const reply = await post("/v1.51/swarm/init");
	expect(reply.status).toBe(501);
	expect(await messageOf(reply)).toBe("POST /swarm/init is not supported yet");
	expect((await call("/swarm")).status).toBe(503);
	expect(await (await call("/plugins")).json()).toEqual([]);
	expect(await (await call("/volumes")).json()).toEqual({ Volumes: [], Warnings: null });
});

test("image names keep their slashes", async () => {
	const reply = await call("/v1.51/images/127.0.0.1:5000/a/b:1/json?x=1");
	expect(await reply.json()).toEqual({ name: "127.0.0.1:5000/a/b:1" });
	expect(reply.headers.get("content-length")).not.toBeNull();
});

test("create decodes the body and passes the name on", async () => {
	const reply = await post("/containers/create?name=web", { image: "busybox", cmd: "true", HostConfig: { memory: 5 } });
	expect(reply.status).toBe(201);
	expect(await reply.json()).toEqual({ Id: "c".repeat(64), Warnings: [] });
	expect(containers.calls[0]?.[1]).toMatchObject({
		name: "web",
		config: { Image: "busybox", Cmd: ["true"] },
		hostConfig: { Memory: 5 },
	});
});

test("bad bodies are 400 naming the field", async () => {
	const cases: [unknown, string][] = [
		["", "got EOF while reading request body"],
		["{", "invalid JSON"],
		[{ HostConfig: { Memory: "5" } }, "HostConfig.Memory of type int64"],
		[{ Env: "A=1" }, "Config.Env"],
		[
			{ HostConfig: { DeviceRequests: [{ Driver: "cdi", Count: -1, Capabilities: [["gpu"]] }] } },
			'could not select device driver "cdi" with capabilities: [[gpu]]',
		],
		[{ HostConfig: { BlkioWeight: 65536 } }, "number 65536 into Go struct field HostConfig.BlkioWeight of type uint16"],
		['{"Image":"a","image":"b"}', "duplicate field Config.Image"],
	];
	for (const [body, text] of cases) {
		const reply = await post("/containers/create", body);
		expect(reply.status).toBe(400);
		expect(await messageOf(reply)).toContain(text);
	}
});

test("list shows running ones, filters, and follows changes", async () => {
	containers.add(fakeRecord("web", RUNNING, { Labels: { a: "1" } }));
	containers.add(fakeRecord("new", { status: "created" }));
	const names = async (query: string) =>
		((await (await call(`/containers/json?${query}`)).json()) as { Names: string[] }[]).map((row) => row.Names[0]);
	const filter = (value: unknown) => `filters=${encodeURIComponent(JSON.stringify(value))}`;
	expect(await names("")).toEqual(["/web"]);
	expect(await names("all=1")).toEqual(["/new", "/web"]);
	expect(await names(`all=1&${filter({ label: ["a=1"] })}`)).toEqual(["/web"]);
	expect(await names(filter({ status: { created: true } }))).toEqual(["/new"]);
	expect((await call(`/containers/json?${filter({ x: ["1"] })}`)).status).toBe(400);
	expect((await call(`/containers/json?${filter({ status: ["odd"] })}`)).status).toBe(400);
	expect((await call("/containers/json?limit=x")).status).toBe(400);
	containers.add(fakeRecord("third", RUNNING));
	expect(await names("")).toEqual(["/third", "/web"]);
});

test("errors map to docker's statuses", async () => {
	containers.add(fakeRecord("web", RUNNING));
	const missing = await call("/containers/none/json");
	expect([missing.status, await messageOf(missing)]).toEqual([404, "No such container: none"]);
	const again = await post("/containers/web/start");
	expect([again.status, await again.text()]).toEqual([304, ""]);
	expect((await post("/containers/web/stop?t=x")).status).toBe(400);
	expect((await post("/containers/web/resize?h=a&w=1")).status).toBe(400);
	expect((await call("/containers/web", { method: "DELETE" })).status).toBe(204);
});

test("wait sends its headers at once and the code later", async () => {
	containers.add(fakeRecord("web", RUNNING));
	const reply = await post("/containers/web/wait?condition=next-exit");
	expect(reply.status).toBe(200);
	containers.exit.resolve(3);
	expect(await reply.json()).toEqual({ StatusCode: 3 });
	expect((await post("/containers/none/wait")).status).toBe(404);
	expect((await post("/containers/web/wait?condition=odd")).status).toBe(400);
});

test("a client that leaves ends its wait and its logs", async () => {
	containers.add(fakeRecord("web", RUNNING));
	const wait = raw("POST /containers/web/wait HTTP/1.1\r\nHost: d\r\n\r\n");
	await wait.has("200 OK");
	wait.socket.destroy();
	const logs = raw("GET /containers/web/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n");
	await logs.has("first");
	expect(logs.got()).toContain("multiplexed-stream");
	logs.socket.destroy();
	for (let i = 0; i < 100 && containers.aborted < 2; i++) await Bun.sleep(5);
	expect(containers.aborted).toBe(2);
});

test("events are one line each with whole nanoseconds", async () => {
	expect(await (await call("/events")).text()).toEndWith('"timeNano":1795249637123456789}\n');
	const none = `filters=${encodeURIComponent('{"type":{"image":true}}')}`;
	expect(await (await call(`/events?${none}`)).text()).toBe("");
});

const UPGRADE = "HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n";

test("attach hijacks the socket, echoes, and half-closes", async () => {
	containers.add(fakeRecord("web", RUNNING));
	const client = raw(`POST /v1.51/containers/web/attach?stdin=1&stdout=1&stream=1 ${UPGRADE}Content-Length: 0\r\n\r\n`);
	await client.has("\r\n\r\n");
	expect(client.got()).toStartWith(
		"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n",
	);
	client.socket.write("hello");
	await client.has("hello");
	client.socket.end("last");
	expect(await client.end()).toEndWith("last");
});

test("without stdin the client's bytes and its end are dropped, and output goes on", async () => {
	containers.add(fakeRecord("web", RUNNING));
	const stream = echoStream();
	containers.stream = () => stream;
	const client = raw(`POST /containers/web/attach?stdout=1&stream=1 ${UPGRADE}\r\n`);
	await client.has("\r\n\r\n");
	client.socket.end("dropped");
	await Bun.sleep(20);
	stream.push("output");
	expect(await client.has("output")).not.toContain("dropped");
	client.socket.destroy();
});

test("old clients get the raw type, and bytes sent ahead are not lost", async () => {
	containers.add(fakeRecord("web", RUNNING));
	const client = raw(`POST /v1.41/containers/web/attach?stdin=1&stream=1 ${UPGRADE}\r\nearly`);
	await client.has("early");
	expect(client.got()).toContain("application/vnd.docker.raw-stream");
	client.socket.destroy();
});

test("a 20 MB round trip through a hijacked socket is whole", async () => {
	containers.add(fakeRecord("web", RUNNING));
	const socket = connect({ path, allowHalfOpen: true });
	const size = 20 * 1024 * 1024;
	let got = 0;
	const ended = new Promise<void>((resolve) => socket.on("end", resolve));
	socket.on("data", (chunk) => {
		got += chunk.length;
	});
	socket.write(`POST /containers/web/attach?stdin=1&stdout=1&stream=1 ${UPGRADE}\r\n`);
	while (got === 0) await Bun.sleep(1);
	const head = got;
	const block = Buffer.alloc(1024 * 1024, 1);
	for (let sent = 0; sent < size; sent += block.length) {
		if (!socket.write(block)) await new Promise((resolve) => socket.once("drain", resolve));
	}
	socket.end();
	await ended;
	expect(got - head).toBe(size);
});

test("detach keys end the client's session, not the stream's other users", async () => {
	containers.add(fakeRecord("web", RUNNING));
	containers.tty = true;
	const client = raw(`POST /containers/web/attach?stdin=1&stdout=1&stream=1 ${UPGRADE}\r\n`);
	await client.has("\r\n\r\n");
	client.socket.write("a\x10b");
	await client.has("a\x10b");
	client.socket.write("\x10\x11");
	await client.end();
	expect(containers.detachedCount).toBe(1);
	client.socket.destroy();
	const gone = raw(`POST /containers/web/attach?stdin=1&stdout=1&stream=1 ${UPGRADE}\r\n`);
	await gone.has("\r\n\r\n");
	gone.socket.destroy();
	await Bun.sleep(5);
	// one that just goes is no detach
	expect(containers.detachedCount).toBe(1);
	expect((await post("/containers/web/attach?detachKeys=ctrl-*")).status).toBe(400);
});

test("exec start hijacks after its body; errors come as HTTP", async () => {
	const body = '{"Detach":false,"Tty":false}';
	const client = raw(
		`POST /exec/e1/start ${UPGRADE}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
	);
	await client.has("101 UPGRADED");
	client.socket.end("ping");
	expect(await client.end()).toEndWith("ping");
	const missing = raw(`POST /exec/none/start ${UPGRADE}Content-Length: 2\r\n\r\n{}`);
	expect(await missing.end()).toContain("No such exec instance: none");
	missing.socket.destroy();
	expect((await post("/exec/e1/start", { Detach: true })).status).toBe(200);
	expect(await (await call("/exec/e1/json")).json()).toMatchObject({ ExitCode: 3, Running: false });
});

test("an int64 is taken up to its end, and none beyond", async () => {
	const memory = async (text: string) => {
		const sent = new Request("http://d", {
			method: "POST",
			body: text,
			headers: { "content-type": "application/json" },
		});
		const { Memory } = await readJson(sent, object({ Memory: integer() }), "HostConfig");
		return JSON.stringify(Memory);
	};
	expect(await memory('{"Memory":9007199254740992}')).toBe("9007199254740992");
	const largest = await memory('{"Memory":9223372036854775807}');
	expect(BigInt(largest) < 2n ** 63n && BigInt(largest) > 2n ** 62n).toBe(true);
	expect(await memory('{"Memory":-9223372036854775808}')).toBe(`-${largest}`);
	await expect(memory('{"Memory":1e30}')).rejects.toThrow("HostConfig.Memory of type int64");
	await expect(memory('{"Memory":1.5}')).rejects.toThrow("HostConfig.Memory of type int64");
});

test("pipelined requests are answered in order", async () => {
	const client = raw("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\nGET /nope HTTP/1.1\r\nHost: d\r\n\r\n");
	const got = await client.has("page not found");
	expect(got.indexOf("OK")).toBeLessThan(got.indexOf("page not found"));
	client.socket.destroy();
});

test("uploads: chunked, and after 100-continue", async () => {
	const client = raw(
		"POST /images/load HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
	);
	await client.has("100 Continue");
	client.socket.write("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	await client.has('{"size":5}');
	client.socket.destroy();
});

test("the socket is 0660, a live one is not taken, a file is not replaced, TCP beyond loopback needs TLS", async () => {
	expect(statSync(path).mode & 0o777).toBe(0o660);
	const second = await serveTestApi();
	const { directory, listener: other } = second;
	await expect(other.listen([`unix://${path}`])).rejects.toThrow("another process listens there");
	writeFileSync(join(directory, "file"), "");
	await expect(other.listen([`unix://${directory}/file`])).rejects.toThrow("a file that is no socket");
	await expect(other.listen(["tcp://0.0.0.0:0"])).rejects.toThrow("TLS client certificates");
	await expect(other.listen(["http://x"])).rejects.toThrow("must be unix:///path");
	await second.close();
	expect((await call("/_ping")).status).toBe(200);
});
