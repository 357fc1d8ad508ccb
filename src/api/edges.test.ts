import { afterEach, beforeEach, expect, test } from "bun:test";
import { connect } from "node:net";
import { fakeRecord } from "./testing/fakes.ts";
import { serveTestApi, type TestApi } from "./testing/serve.ts";

let api: TestApi;

beforeEach(async () => {
	api = await serveTestApi();
});
afterEach(() => api.close());

/** Everything a connection gives for these bytes until `enough`, or until it is closed. */
function ask(text: string | Buffer, enough: (got: string) => boolean = () => false): Promise<string> {
	const { promise, resolve } = Promise.withResolvers<string>();
	const socket = connect(api.path);
	let got = "";
	socket.on("data", (chunk) => {
		got += chunk.toString("latin1");
		if (enough(got)) socket.destroy();
	});
	socket.on("error", () => {});
	socket.on("close", () => resolve(got));
	socket.write(text);
	return promise;
}

/** One request on a connection that is closed behind its reply. */
const get = (target: string, headers = "Host: d\r\n", method = "GET") =>
	ask(`${method} ${target} HTTP/1.1\r\n${headers}Connection: close\r\n\r\n`);
const line = async (reply: Promise<string>) => (await reply).split("\r\n", 1)[0];

test.each([
	["Host: d\r\nHost: d\r\n", "HTTP/1.1 400 Bad Request"],
	["Host: d\r\nhost: e\r\n", "HTTP/1.1 400 Bad Request"],
	["Host: a b\r\n", "HTTP/1.1 400 Bad Request: malformed Host header"],
	["Host:\r\n", "HTTP/1.1 200 OK"],
	["Host: %2Fvar%2Frun%2Fdocker.sock\r\n", "HTTP/1.1 200 OK"],
])("hosts as Go's server takes them: %j", async (headers, status) => {
	expect(await line(get("/_ping", headers))).toBe(status);
});

test.each([
	["//_ping", "/_ping"],
	["/v1.51//containers/json?all=1", "/v1.51/containers/json?all=1"],
	["/v1.51/containers/../_ping", "/v1.51/_ping"],
	["/./_ping", "/_ping"],
])("%s is moved to %s", async (target, location) => {
	const reply = await get(target);
	expect(reply).toStartWith("HTTP/1.1 301 Moved Permanently\r\n");
	expect(reply).toContain(`Location: ${location}\r\n`);
});

test.each(["http://d/_ping", "/%5fping", "/v1.51/_ping", "/v01.051/_ping", "/v1.51/%63ontainers/json"])(
	"%s is served",
	async (target) => {
		expect(await line(get(target))).toBe("HTTP/1.1 200 OK");
	},
);

test.each([
	["/v1.", "client version 1. is too old."],
	["/v1.5.1", "client version 1.5.1 is too old."],
	["/v1", "client version 1 is too old."],
	["/v1.52", "client version 1.52 is too new."],
	["/v1.51.1", "client version 1.51.1 is too new."],
	["/v99999999999.1", "client version 99999999999.1 is too new."],
])("%s: %s", async (version, message) => {
	const reply = await get(`${version}/_ping`);
	expect(reply).toStartWith("HTTP/1.1 400 Bad Request\r\n");
	expect(reply).toContain(message);
	expect(reply).toContain("Api-Version: 1.51\r\n");
	expect(reply).not.toContain("Docker-Experimental");
});

test("what no route knows is answered without the API's headers, and every document ends with a newline", async () => {
	for (const reply of [
		await get("/nosuch"),
		await get("/v1.51"),
		await get("/vx/_ping"),
		await get("/_ping", undefined, "PUT"),
	]) {
		expect(reply).toStartWith("HTTP/1.1 404 Not Found\r\n");
		expect(reply).not.toMatch(/api-version|docker-experimental|ostype/i);
		expect(reply).toEndWith('\r\n\r\n{"message":"page not found"}\n');
	}
	const missing = await get("/containers/none/json");
	expect(missing).toContain("Api-Version: 1.51\r\n");
	expect(missing).toEndWith('{"message":"No such container: none"}\n');
});

test("queries that Go does not take are refused", async () => {
	expect(await get("/containers/json?all=1;limit=2")).toContain("invalid semicolon separator in query");
	expect(await get("/containers/json?filters=%zz")).toContain('invalid URL escape \\"%zz\\"');
	expect(await line(get("/containers/json?filters=%7B%7D"))).toBe("HTTP/1.1 200 OK");
});

test("an upgrade that a path does not have is answered as if it were not asked for", async () => {
	const upgrade = "Host: d\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
	const ask2 = (target: string, method = "GET", more = "") =>
		ask(`${method} ${target} HTTP/1.1\r\n${upgrade}Connection: Upgrade, HTTP2-Settings\r\n${more || "\r\n"}`);
	api.containers.add(fakeRecord("web", { status: "created" }));
	expect(await ask2("/_ping")).toMatch(/^HTTP\/1.1 200 OK\r\n[\s\S]*\r\n\r\nOK$/);
	expect(await ask2("/v1.51/containers/web/json")).toMatch(/^HTTP\/1.1 200 OK\r\n[\s\S]*"Name":"\/web"/);
	expect(await ask2("/nosuch")).toMatch(/^HTTP\/1.1 404 Not Found\r\n[\s\S]*page not found/);
	const body = '{"Image":""}';
	const type = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
	expect(await ask2("/containers/create", "POST", type)).not.toContain("while reading request body");
});

test("a body that is too large is refused, and the connection does not stay open for the rest", async () => {
	const head = `POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: ${1 << 30}\r\n\r\n`;
	const reply = await ask(Buffer.concat([Buffer.from(head), Buffer.alloc(18 << 20, 0x61)]));
	expect(reply).toStartWith("HTTP/1.1 400 Bad Request\r\n");
	expect(reply).toContain("request body larger than 16777216 bytes");
});

test.each([
	["application/json; charset=utf-8", ""],
	["APPLICATION/JSON;", ""],
	["application/json; x", "malformed Content-Type header (application/json; x): mime: invalid media parameter"],
	["application/json-patch+json", "unsupported Content-Type header (application/json-patch+json)"],
])("Content-Type %s", async (type, refusal) => {
	const init = { method: "POST", unix: api.path, headers: { "content-type": type }, body: "{}" };
	const { message } = (await (await fetch("http://d/containers/create", init as RequestInit)).json()) as {
		message: string;
	};
	if (refusal === "") expect(message).not.toContain("Content-Type");
	else expect(message).toContain(refusal);
});
