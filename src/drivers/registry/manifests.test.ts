import { expect, test } from "bun:test";
import type { ServerResponse } from "node:http";
import { digestOf } from "../../oci/digest.ts";
import { clientOf, failureText, refOf } from "./testing/client.ts";
import { type FakeServer, fakeTiming, sendJson, startFake } from "./testing/fake-registry.ts";

const OCI = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";
const DOCKER = "application/vnd.docker.distribution.manifest.v2+json";

/** Answers every manifest with this. */
function startOne(type: string, body: string | Buffer, headers: Record<string, string> = {}): Promise<FakeServer> {
	return startFake((request, response) => {
		if (!request.url.includes("/manifests/")) return undefined;
		const length = { "content-length": `${Buffer.byteLength(body)}` };
		response.writeHead(200, { "content-type": type, ...length, ...headers });
		response.end(request.method === "HEAD" ? undefined : body);
		return true;
	});
}

async function fetchOne(type: string, body: string | Buffer, headers: Record<string, string> = {}) {
	await using server = await startOne(type, body, headers);
	return await clientOf().manifest(refOf(server.domain), {});
}

const image = (fields: object = {}) => JSON.stringify({ schemaVersion: 2, config: {}, layers: [], ...fields });

test("a manifest comes as it was sent, with its digest; all types are offered", async () => {
	const body = ` ${image({ mediaType: OCI })}\n`;
	await using server = await startOne(`${OCI}; charset=utf-8`, body, { "docker-content-digest": digestOf(body) });
	const got = await clientOf().manifest(refOf(server.domain), {});
	expect({ ...got, bytes: Buffer.from(got.bytes).toString() }).toEqual({
		mediaType: OCI,
		digest: digestOf(body),
		bytes: body,
	});
	for (const type of [OCI, INDEX, DOCKER, "application/vnd.docker.distribution.manifest.list.v2+json"]) {
		expect(server.seen[0]?.headers.accept).toContain(type);
	}
	expect(server.seen[0]?.url).toBe("/v2/team/app/manifests/1");
	expect(server.seen[0]?.headers["user-agent"]).toBe("test/1");
});

test("a digest is asked for and must be the content's; a tag beside it does not count", async () => {
	const body = image();
	await using server = await startOne(OCI, body);
	const byDigest = (digest: string) => clientOf().manifest({ ...refOf(server.domain), digest }, {});
	expect((await byDigest(digestOf(body))).digest).toBe(digestOf(body));
	expect(server.seen[0]?.url).toBe(`/v2/team/app/manifests/${digestOf(body)}`);
	const other = digestOf("other");
	expect(await failureText(byDigest(other))).toBe(`internal: manifest verification failed for digest ${other}`);
});

test("answers that lie are refused", async () => {
	const cases: [string, string, string, Record<string, string>?][] = [
		["text/html; charset=utf-8", "<html>", "the registry answered a web page (text/html), not a manifest"],
		[OCI, "<html>", "it is not JSON"],
		[OCI, "[]", "it is not an object"],
		[OCI, image(), "the registry names it", { "docker-content-digest": digestOf("x") }],
		[OCI, image({ mediaType: DOCKER }), `the registry says it is ${OCI}, the manifest itself says ${DOCKER}`],
		[OCI, image({ manifests: [] }), "it is both an index and an image"],
		[INDEX, image(), `its content is not what ${INDEX} holds`],
		["application/json", image({ mediaType: "application/vnd.other" }), "unsupported media type application/vnd.other"],
		[OCI, image({ mediaType: 7 }), "its mediaType is not a string"],
		[OCI, image({ pad: "x".repeat(4 * 1024 * 1024) }), "it is larger than 4194304 bytes"],
	];
	for (const [type, body, text, headers] of cases) {
		expect(await failureText(fetchOne(type, body, headers))).toContain(text);
	}
});

test("where the header says nothing, the manifest's own type counts, or else its shape", async () => {
	expect((await fetchOne("application/json", image({ mediaType: DOCKER }))).mediaType).toBe(DOCKER);
	expect((await fetchOne("text/plain", image())).mediaType).toBe(OCI);
	expect((await fetchOne("application/octet-stream", JSON.stringify({ manifests: [] }))).mediaType).toBe(INDEX);
});

test("schema 1 is refused in docker's words", async () => {
	const text = "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed";
	const old = "application/vnd.docker.distribution.manifest.v1+prettyjws";
	const signed = { "docker-content-digest": digestOf("without signatures") };
	expect(await failureText(fetchOne(old, JSON.stringify({ schemaVersion: 1, fsLayers: [] }), signed))).toContain(text);
	expect(await failureText(fetchOne("application/json", JSON.stringify({ schemaVersion: 1 })))).toContain(text);
});

test("error lists become docker's texts", async () => {
	const send = (response: ServerResponse, status: number, body: unknown) =>
		typeof body === "string" ? response.writeHead(status).end(body) !== undefined : sendJson(response, status, body);
	const cases: [number, unknown, string][] = [
		[
			404,
			{ errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }] },
			"not-found: manifest for HOST/team/app:1 not found: manifest unknown: manifest unknown",
		],
		[
			404,
			{ errors: [{ code: "NAME_UNKNOWN" }] },
			"not-found: repository HOST/team/app not found: name unknown: repository name not known to registry",
		],
		[
			403,
			{ errors: [{ code: "DENIED", message: "go away" }] },
			"not-found: pull access denied for HOST/team/app, repository does not exist or may require 'docker login': denied: go away",
		],
		[401, {}, "unauthorized: unauthorized: authentication required"],
		[400, {}, 'internal: error parsing HTTP 400 response body: no error details found in HTTP response body: "{}"'],
		[501, {}, "internal: received unexpected HTTP status: 501 Not Implemented"],
		[
			503,
			{ errors: [{ code: "DENIED", message: "down for today" }] },
			"internal: received unexpected HTTP status: 503 Service Unavailable (denied: down for today)",
		],
		[
			429,
			{ errors: [{ code: "TOOMANYREQUESTS", message: "slow down" }] },
			"too-many-requests: toomanyrequests: slow down",
		],
		[429, "slow down, please\n", "too-many-requests: toomanyrequests: slow down, please"],
		[429, "<html>busy</html>", "too-many-requests: toomanyrequests: too many requests"],
		[
			403,
			"no entry",
			"not-found: pull access denied for HOST/team/app, repository does not exist or may require 'docker login': denied: no entry",
		],
	];
	for (const [status, body, text] of cases) {
		await using server = await startFake((request, response) =>
			request.url === "/v2/" ? undefined : send(response, status, body),
		);
		const got = await failureText(clientOf().manifest(refOf(server.domain), {}));
		expect(got.replaceAll(server.domain, "HOST")).toBe(text);
	}
});

test("describe() takes a HEAD for it, and the manifest where the HEAD says too little", async () => {
	const body = image();
	await using good = await startOne(OCI, body, { "docker-content-digest": digestOf(body) });
	const expected = { mediaType: OCI, digest: digestOf(body), size: body.length };
	expect(await clientOf().describe(refOf(good.domain), {})).toEqual(expected);
	expect(good.seen.map((one) => one.method)).toEqual(["HEAD"]);
	await using poor = await startOne(OCI, body);
	expect(await clientOf().describe(refOf(poor.domain), {})).toEqual(expected);
	expect(poor.seen.map((one) => one.method)).toEqual(["HEAD", "GET"]);
	await using none = await startFake(() => undefined);
	expect(await failureText(clientOf().describe(refOf(none.domain), {}))).toBe(
		"not-found: manifest unknown: manifest unknown",
	);
});

test("tags come page by page; pages of other hosts are not followed", async () => {
	await using server = await startFake((request, response) => {
		if (!request.url.includes("/tags/list")) return undefined;
		const last = new URLSearchParams(request.url.split("?")[1]).get("last");
		if (last === "b") return sendJson(response, 200, { tags: ["c"] }, { link: '<http://other.test/v2/x>; rel="next"' });
		return sendJson(response, 200, { tags: ["a", "b"] }, { link: '</v2/team/app/tags/list?last=b&n=2>; rel="next"' });
	});
	expect(await clientOf().tags(refOf(server.domain), {})).toEqual(["a", "b", "c"]);
	expect(server.seen.length).toBe(2);
	await using nobody = await startFake((request, response) =>
		request.url.includes("/tags/list") ? sendJson(response, 200, { name: "team/app", tags: null }) : undefined,
	);
	expect(await clientOf().tags(refOf(nobody.domain), {})).toEqual([]);
});

test("nobody there, or no such host: Go's texts, at once", async () => {
	const server = await startFake(() => undefined);
	await server[Symbol.asyncDispose]();
	const timing = fakeTiming();
	expect(await failureText(clientOf(timing).manifest(refOf(server.domain), {}))).toBe(
		`internal: Get "http://${server.domain}/v2/": dial tcp ${server.domain}: connect: connection refused`,
	);
	expect(timing.slept).toEqual([]);
});

test("a silent registry is given up", async () => {
	await using server = await startFake(async (request) => {
		if (request.url !== "/v2/") await Bun.sleep(1000);
		return true;
	});
	const timing = fakeTiming({ answerMs: 50 });
	expect(await failureText(clientOf(timing).manifest(refOf(server.domain), {}))).toContain(
		"Client.Timeout exceeded while awaiting headers",
	);
});

test("docker.io is asked through its mirrors, without credentials; one that fails is passed over for a while", async () => {
	const body = image();
	await using good = await startOne(OCI, body);
	let down = true;
	await using bad = await startFake((request, response) =>
		down && request.url !== "/v2/" ? sendJson(response, 500, {}) : undefined,
	);
	const timing = fakeTiming();
	const client = clientOf(timing, { mirrors: [`http://${bad.domain}`, `http://${good.domain}/`] });
	const options = { credentials: { username: "alice", password: "s3cret" } };
	const pull = () => client.manifest({ domain: "docker.io", path: "library/busybox", tag: "1" }, options);
	expect((await pull()).digest).toBe(digestOf(body));
	await pull();
	expect([bad.seen.length, good.seen.length]).toEqual([1, 2]);
	expect(good.seen[0]?.url).toBe("/v2/library/busybox/manifests/1");
	expect([...bad.seen, ...good.seen].some((one) => one.headers.authorization)).toBe(false);
	down = false;
	timing.clock += 31_000;
	await pull();
	// now it answers 404, which sends one on, too, but is no reason to avoid it
	await pull();
	expect([bad.seen.length, good.seen.length]).toEqual([3, 4]);
	expect(timing.slept).toEqual([]);
	expect(() => clientOf(timing, { mirrors: ["http://u:p@m.test/"] })).toThrow("invalid registry mirror");
});
