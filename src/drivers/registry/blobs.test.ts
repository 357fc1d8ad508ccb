import { expect, test } from "bun:test";
import type { ServerResponse } from "node:http";
import { digestOf } from "../../oci/digest.ts";
import { bytesOf, clientOf, failureText, refOf } from "./testing/client.ts";
import { fakeTiming, type Seen, sendJson, startFake } from "./testing/fake-registry.ts";

const DATA = Buffer.alloc(300_000, "0123456789abcdefghijklmnopqrstuvwxyz-");
const BLOB = { digest: digestOf(DATA), size: DATA.length };

function fromOf(request: Seen): number {
	return Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
}

/** Answers as asked, range included. */
function sendRange(request: Seen, response: ServerResponse): true {
	const from = fromOf(request);
	const headers = { "content-length": `${DATA.length - from}` };
	if (from === 0) response.writeHead(200, headers);
	else response.writeHead(206, { ...headers, "content-range": `bytes ${from}-${DATA.length - 1}/${DATA.length}` });
	response.end(DATA.subarray(from));
	return true;
}

/** Sends the head and the first bytes of what was asked, then does something bad. */
function sendPart(response: ServerResponse, bytes: number, bad: (response: ServerResponse) => void): true {
	response.writeHead(200, { "content-length": `${DATA.length}` });
	response.write(DATA.subarray(0, bytes), () => setTimeout(() => bad(response), 10));
	return true;
}

/** Runs the script's steps for the requests in order; then answers as it should. */
async function startScript(steps: readonly ((request: Seen, response: ServerResponse) => true)[]) {
	let at = 0;
	return await startFake((request, response) => {
		if (request.url === "/v2/") return undefined;
		return (steps[at++] ?? sendRange)(request, response);
	});
}

const cut = (response: ServerResponse) => void response.socket?.destroy();
const reset = (response: ServerResponse) => void response.socket?.resetAndDestroy();
const stall = () => {};

test("a blob that is cut, reset or stalls is taken up again by range where it stopped", async () => {
	for (const [name, bad] of Object.entries({ cut, reset, stall })) {
		await using server = await startScript([(_, response) => sendPart(response, 100_000, bad)]);
		const timing = fakeTiming({ stallMs: 200, answerMs: 200 });
		const got = await bytesOf(clientOf(timing).blob(refOf(server.domain), BLOB, {}));
		expect([name, digestOf(got)]).toEqual([name, BLOB.digest]);
		expect(timing.slept).toEqual([500]);
		expect(server.seen.map((one) => one.headers.range)).toEqual([undefined, "bytes=100000-"]);
	}
});

test("a registry that answers a range with everything is read past what is there already", async () => {
	const whole = (_: Seen, response: ServerResponse): true => {
		response.end(DATA);
		return true;
	};
	await using server = await startScript([(_, response) => sendPart(response, 70_000, cut), whole]);
	const got = await bytesOf(clientOf().blob(refOf(server.domain), BLOB, {}));
	expect(digestOf(got)).toBe(BLOB.digest);
});

test("a chunked answer that ends early is taken up again", async () => {
	const short = (_: Seen, response: ServerResponse): true => {
		response.writeHead(200, { "transfer-encoding": "chunked" });
		response.write(DATA.subarray(0, 5000));
		response.end();
		return true;
	};
	await using server = await startScript([short]);
	expect(digestOf(await bytesOf(clientOf().blob(refOf(server.domain), BLOB, {})))).toBe(BLOB.digest);
	expect(server.seen.at(-1)?.headers.range).toBe("bytes=5000-");
});

test("a range that is not the one asked for is refused", async () => {
	const other = (_: Seen, response: ServerResponse): true => {
		response.writeHead(206, { "content-range": "bytes 200000-299999/300000", "content-length": "100000" });
		response.end(DATA.subarray(200_000));
		return true;
	};
	await using server = await startScript([(_, response) => sendPart(response, 70_000, cut), other]);
	expect(await failureText(bytesOf(clientOf().blob(refOf(server.domain), BLOB, {})))).toContain("got another range");
});

test("sizes that are not the descriptor's are refused: announced, sent on, or ended early", async () => {
	await using server = await startFake((request, response) => {
		if (request.url === "/v2/") return undefined;
		if (request.headers.range) response.writeHead(416).end();
		else response.writeHead(200, { "transfer-encoding": "chunked" }).end(DATA);
		return true;
	});
	const ref = refOf(server.domain);
	const read = (size: number) => failureText(bytesOf(clientOf().blob(ref, { digest: BLOB.digest, size }, {})));
	expect(await read(DATA.length - 1)).toContain(`should have ${DATA.length - 1} bytes and goes on after byte`);
	expect(await read(DATA.length + 1)).toContain("ends before byte 300000");
	await using announced = await startScript([
		(_, response) => {
			response.writeHead(200, { "content-type": "text/html", "content-length": "6" }).end("<html>");
			return true;
		},
	]);
	expect(await failureText(bytesOf(clientOf().blob(refOf(announced.domain), BLOB, {})))).toBe(
		`internal: blob ${BLOB.digest} should have 300000 bytes and has 6 bytes in the registry (a web page, text/html)`,
	);
});

test("a registry that never gets on is given up after five tries, with growing waits", async () => {
	await using server = await startFake((request, response) =>
		request.url === "/v2/" ? undefined : sendPart(response, 10, cut),
	);
	const timing = fakeTiming();
	expect(await failureText(bytesOf(clientOf(timing).blob(refOf(server.domain), BLOB, {})))).toContain(
		"the connection broke at byte",
	);
	expect(timing.slept).toEqual([500, 1000, 2000, 4000]);
});

test("429 and 5xx are retried: Retry-After is honoured up to a minute, then docker's text comes", async () => {
	let left = 2;
	await using server = await startFake((request, response) => {
		if (request.url === "/v2/") return undefined;
		if (left-- > 0) return sendJson(response, 429, {}, { "retry-after": left === 1 ? "7" : "9999" });
		return sendRange(request, response);
	});
	const timing = fakeTiming();
	expect((await bytesOf(clientOf(timing).blob(refOf(server.domain), BLOB, {}))).length).toBe(DATA.length);
	expect(timing.slept).toEqual([7000, 60_000]);
	await using down = await startFake((request, response) =>
		request.url === "/v2/" ? undefined : sendJson(response, 503, {}),
	);
	const slow = fakeTiming();
	expect(await failureText(clientOf(slow).manifest(refOf(down.domain), {}))).toBe(
		"internal: received unexpected HTTP status: 503 Service Unavailable",
	);
	expect(slow.slept).toEqual([500, 1000, 2000, 4000]);
});

test("what will not pass by itself is not retried", async () => {
	await using server = await startFake((request, response) =>
		request.url === "/v2/" ? undefined : sendJson(response, 403, { errors: [{ code: "DENIED", message: "no" }] }),
	);
	const timing = fakeTiming();
	expect(await failureText(bytesOf(clientOf(timing).blob(refOf(server.domain), BLOB, {})))).toContain("denied: no");
	expect(timing.slept).toEqual([]);
	expect(server.seen.length).toBe(1);
});

test("the caller's signal ends a stalled read at once", async () => {
	await using server = await startScript([(_, response) => sendPart(response, 100, stall)]);
	const controller = new AbortController();
	const reading = failureText(bytesOf(clientOf().blob(refOf(server.domain), BLOB, { signal: controller.signal })));
	setTimeout(() => controller.abort(), 50);
	expect(await reading).toBe("cancelled: context canceled");
});

test("a reader that leaves lets the connection go; a slow one is not taken for a stall and holds the registry back", async () => {
	const chunk = Buffer.alloc(256 * 1024);
	const size = 256 * chunk.length;
	let [sent, closed] = [0, false];
	await using server = await startFake((request, response) => {
		if (request.url === "/v2/") return undefined;
		response.on("close", () => {
			closed = true;
		});
		response.writeHead(200, { "content-length": `${size}` });
		const more = () => {
			while (sent < size && !closed) {
				sent += chunk.length;
				if (!response.write(chunk)) return void response.once("drain", more);
			}
		};
		more();
		return true;
	});
	const timing = fakeTiming({ stallMs: 100, answerMs: 100 });
	let got = 0;
	for await (const part of clientOf(timing).blob(refOf(server.domain), { digest: BLOB.digest, size }, {})) {
		if (got === 0) await Bun.sleep(300);
		got += part.length;
		if (got > 1024 * 1024) break;
	}
	await Bun.sleep(50);
	expect(closed).toBe(true);
	expect(timing.slept).toEqual([]);
	// what sockets and streams hold between the two, and no more
	expect(sent).toBeLessThan(24 * 1024 * 1024);
});

test("redirects end after ten", async () => {
	await using server = await startFake((request, response) => {
		if (request.url === "/v2/") return undefined;
		response.writeHead(302, { location: request.url }).end();
		return true;
	});
	expect(await failureText(bytesOf(clientOf().blob(refOf(server.domain), BLOB, {})))).toContain(
		"stopped after 10 redirects",
	);
	expect(server.seen.length).toBe(11);
	await using odd = await startFake((request, response) => {
		if (request.url !== "/v2/") response.writeHead(302, { location: "file:///etc/passwd" }).end();
		return request.url === "/v2/" ? undefined : true;
	});
	expect(await failureText(bytesOf(clientOf().blob(refOf(odd.domain), BLOB, {})))).toContain("invalid redirect");
});

test("gzip on the wire stays gzip: digests are over those bytes", async () => {
	const packed = Bun.gzipSync(DATA);
	await using server = await startFake((request, response) => {
		if (request.url === "/v2/") return undefined;
		response.writeHead(200, { "content-encoding": "gzip", "content-length": `${packed.length}` }).end(packed);
		return true;
	});
	const got = await bytesOf(
		clientOf().blob(refOf(server.domain), { digest: digestOf(packed), size: packed.length }, {}),
	);
	expect(digestOf(got)).toBe(digestOf(packed));
	expect(server.seen[0]?.headers["accept-encoding"]).toBe("identity");
});
