import { expect, test } from "bun:test";
import { createServer } from "node:net";
import { digestOf } from "../../oci/digest.ts";
import { clientOf, failureText, refOf } from "./testing/client.ts";
import { type FakeServer, fakeTiming, type Handler, sendJson, startFake } from "./testing/fake-registry.ts";

const DATA = Buffer.alloc(200_000, "layer");
const DIGEST = digestOf(DATA);

async function* pieces(): AsyncGenerator<Uint8Array> {
	for (let at = 0; at < DATA.length; at += 50_000) yield DATA.subarray(at, at + 50_000);
}

/** A registry that takes one upload; `own` may answer first. */
async function startUploads(
	location: (server: FakeServer) => string,
	own: Handler = () => undefined,
): Promise<FakeServer> {
	const server: FakeServer = await startFake(async (request, response, raw) => {
		if (await own(request, response, raw)) return true;
		const answers: Record<string, number> = { POST: 202, PATCH: 202, PUT: 201, DELETE: 204 };
		const status = answers[request.method];
		if (status === undefined) return undefined;
		response.writeHead(status, { location: location(server) }).end();
		return true;
	});
	return server;
}

test("an upload is POST, PATCH with the stream, PUT with the digest; Location may be relative or whole, with a query", async () => {
	for (const location of [
		() => "/up/1?state=a%2Bb",
		(server: FakeServer) => `http://${server.domain}/up/1?state=a%2Bb`,
	]) {
		await using server = await startUploads(location);
		await clientOf().pushBlob(refOf(server.domain), pieces(), async () => DIGEST, {});
		expect(server.seen.map((one) => `${one.method} ${one.url}`)).toEqual([
			"POST /v2/team/app/blobs/uploads/",
			"PATCH /up/1?state=a%2Bb",
			`PUT /up/1?state=a%2Bb&digest=${encodeURIComponent(DIGEST)}`,
		]);
		expect(digestOf(server.seen[1]?.body ?? "")).toBe(DIGEST);
		expect(server.seen[1]?.headers["content-type"]).toBe("application/octet-stream");
	}
});

test("the digest is asked for only when the body has ended", async () => {
	await using server = await startUploads(() => "/up/1");
	let ended = false;
	async function* body() {
		yield* pieces();
		ended = true;
	}
	const digest = async () => (ended ? DIGEST : "too early");
	await clientOf().pushBlob(refOf(server.domain), body(), digest, {});
	expect(server.seen.at(-1)?.url).toContain(encodeURIComponent(DIGEST));
});

test("a refused upload is told in the registry's words and cancelled", async () => {
	await using server = await startUploads(
		() => "/up/1",
		(request, response) =>
			request.method === "PUT"
				? sendJson(response, 400, {
						errors: [{ code: "DIGEST_INVALID", message: "provided digest did not match uploaded content" }],
					})
				: undefined,
	);
	const push = clientOf().pushBlob(refOf(server.domain), pieces(), async () => DIGEST, {});
	expect(await failureText(push)).toBe("internal: digest invalid: provided digest did not match uploaded content");
	expect(server.seen.at(-1)?.method).toBe("DELETE");
	await using denied = await startUploads(
		() => "/up/1",
		(request, response) =>
			request.method === "POST"
				? sendJson(response, 403, {
						errors: [{ code: "DENIED", message: "requested access to the resource is denied" }],
					})
				: undefined,
	);
	const refused = clientOf().pushBlob(refOf(denied.domain), pieces(), async () => DIGEST, {});
	expect(await failureText(refused)).toBe("forbidden: denied: requested access to the resource is denied");
	expect(denied.seen.length).toBe(1);
});

test("a registry that goes away under the body fails the upload; a source that fails is the failure", async () => {
	// answered before the body is read: the connection closes under it
	await using server = await startUploads(
		() => "/up/1",
		(request, response) => (request.method === "PATCH" ? response.socket?.destroy() !== undefined : undefined),
	);
	const push = clientOf().pushBlob(refOf(server.domain), pieces(), async () => DIGEST, {});
	expect(await failureText(push)).toBe(`unavailable: Patch "http://${server.domain}/up/1": connection reset by peer`);
	async function* failing() {
		yield DATA.subarray(0, 10);
		throw new Error("layer is gone");
	}
	await using fine = await startUploads(() => "/up/1");
	const broken = clientOf().pushBlob(refOf(fine.domain), failing(), async () => DIGEST, {});
	expect(await failureText(broken)).toBe("undefined: layer is gone");
	expect(fine.seen.some((one) => one.method === "PUT")).toBe(false);
});

test("a lost answer to the last step counts as done when the blob is there", async () => {
	let puts = 0;
	await using server = await startUploads(
		() => "/up/1",
		(request, response) => {
			if (request.method === "PUT")
				return puts++ === 0
					? sendJson(response, 502, {})
					: sendJson(response, 404, { errors: [{ code: "BLOB_UPLOAD_UNKNOWN" }] });
			if (request.method !== "HEAD") return undefined;
			response.writeHead(200).end();
			return true;
		},
	);
	await clientOf().pushBlob(refOf(server.domain), pieces(), async () => DIGEST, {});
	expect([puts, server.seen.at(-1)?.method]).toEqual([2, "HEAD"]);
});

test("hasBlob() says yes and no, and throws for the rest", async () => {
	const answers: [number, string][] = [
		[200, "true"],
		[404, "false"],
		[401, "unauthorized: unauthorized: authentication required"],
	];
	for (const [status, text] of answers) {
		await using server = await startFake(
			(request, response) => request.method === "HEAD" && response.writeHead(status).end() !== undefined,
		);
		const asked = clientOf().hasBlob(refOf(server.domain), DIGEST, {});
		expect(await asked.then(String, () => failureText(asked))).toBe(text);
	}
});

test("a mount asks for both repositories; a registry that opens an upload instead has it cancelled", async () => {
	await using server = await startUploads(
		() => "/up/9",
		(request, response) =>
			request.url.includes("from=has%2Fit") ? response.writeHead(201).end() !== undefined : undefined,
	);
	const client = clientOf();
	expect(await client.mountBlob(refOf(server.domain), DIGEST, "has/it", {})).toBe(true);
	expect(server.seen[0]?.url).toBe(`/v2/team/app/blobs/uploads/?mount=${encodeURIComponent(DIGEST)}&from=has%2Fit`);
	expect(await client.mountBlob(refOf(server.domain), DIGEST, "has/not", {})).toBe(false);
	expect(server.seen.at(-1)).toMatchObject({ method: "DELETE", url: "/up/9" });
});

test("a manifest is put under its tag with its type; 5xx is tried again", async () => {
	let failures = 1;
	await using server = await startFake((request, response) => {
		if (request.method !== "PUT") return undefined;
		if (failures-- > 0) return sendJson(response, 503, {});
		response.writeHead(201, { "docker-content-digest": DIGEST }).end();
		return true;
	});
	const timing = fakeTiming();
	const manifest = { mediaType: "application/vnd.oci.image.manifest.v1+json", bytes: Buffer.from("{}") };
	expect(await clientOf(timing).pushManifest(refOf(server.domain), manifest, {})).toBe(DIGEST);
	expect(timing.slept).toEqual([500]);
	expect(server.seen[1]).toMatchObject({ url: "/v2/team/app/manifests/1", body: "{}" });
	expect(server.seen[1]?.headers["content-type"]).toBe(manifest.mediaType);
});

test("search reads the v1 route of the host in the term; a registry without it says so", async () => {
	const result = { name: "team/app", description: "an app", star_count: 3, is_official: false, is_automated: true };
	await using server = await startFake((request, response) =>
		request.url.startsWith("/v1/search") ? sendJson(response, 200, { results: [result, 7] }) : undefined,
	);
	const options = { credentials: { username: "a", password: "b" } };
	expect(await clientOf().search(`${server.domain}/some app`, 10, options)).toEqual([
		{ name: "team/app", description: "an app", starCount: 3, isOfficial: false, isAutomated: true },
	]);
	expect(server.seen[0]).toMatchObject({ url: "/v1/search?q=some+app&n=10" });
	expect(server.seen[0]?.headers.authorization).toBe(`Basic ${btoa("a:b")}`);
	await using none = await startFake(() => undefined);
	expect(await failureText(clientOf().search(`${none.domain}/x`, 10, {}))).toBe(
		`not-found: registry ${none.domain} cannot be searched: /v1/search answered 404 Not Found`,
	);
});

test("a registry that refuses in the middle of the body, or takes none of it, ends the upload; so does the caller", async () => {
	const refusal = JSON.stringify({ errors: [{ code: "DENIED", message: "quota exceeded" }] });
	let mode: "refuse" | "stall" = "refuse";
	// node:http would read the body to its end: here it is not read
	const server = createServer((socket) => {
		socket.on("error", () => {});
		socket.once("data", (head: Buffer) => {
			const [method = ""] = head.toString("latin1").split(" ");
			if (method === "GET") socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
			else if (method === "POST")
				socket.end("HTTP/1.1 202 Accepted\r\nLocation: /up\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
			else if (method !== "PATCH") socket.end("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
			else if (mode === "stall") socket.pause();
			else
				socket.write(
					`HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: ${refusal.length}\r\n\r\n${refusal}`,
				);
		});
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	const domain = `127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
	let produced = 0;
	async function* endless() {
		for (; produced < 2000; produced++) {
			await Bun.sleep(0);
			yield new Uint8Array(64 * 1024);
		}
	}
	const push = (signal?: AbortSignal) =>
		failureText(
			clientOf(fakeTiming({ answerMs: 300 })).pushBlob(refOf(domain), endless(), async () => DIGEST, { signal }),
		);
	try {
		expect(await push()).toBe("forbidden: denied: quota exceeded");
		expect(produced).toBeLessThan(2000);
		[mode, produced] = ["stall", 0];
		expect(await push()).toContain("Client.Timeout exceeded");
		expect(produced).toBeLessThan(500);
		const controller = new AbortController();
		setTimeout(() => controller.abort(), 100);
		expect(await push(controller.signal)).toBe("cancelled: context canceled");
	} finally {
		server.close();
	}
});

test("missing credentials are told without the exchange, as dockerd does when pushing", async () => {
	await using server = await startFake((request, response) =>
		request.url === "/v2/" ? sendJson(response, 401, {}, { "www-authenticate": 'Basic realm="x"' }) : undefined,
	);
	expect(await failureText(clientOf().hasBlob(refOf(server.domain), DIGEST, {}))).toBe(
		"internal: no basic auth credentials",
	);
});
