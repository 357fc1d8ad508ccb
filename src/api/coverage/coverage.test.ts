import { afterAll, beforeAll, expect, test } from "bun:test";
import { imageRoutes } from "../images/routes.ts";
import { FakeContainers, fakeImages, fakeRecord } from "../testing/fakes.ts";
import { serveTestApi, type TestApi } from "../testing/serve.ts";
import { CORE_OPERATIONS } from "./core-operations.ts";
import type { Operation } from "./shape.ts";
import { SWARM_OPERATIONS } from "./swarm-operations.ts";

/** Answered 501 for now. A line goes when its operation is served; none is added. */
const UNSUPPORTED: string[] = [];

/** Answered 501 for good: this engine is not made part of a swarm and takes no plugins. */
const REFUSED = [
	"GET /plugins/privileges",
	"POST /plugins/create",
	"POST /plugins/pull",
	"POST /swarm/init",
	"POST /swarm/join",
];

let api: TestApi;

beforeAll(async () => {
	const containers = new FakeContainers();
	containers.add(fakeRecord("thing", { status: "running", pid: 7, startedAt: "2026-01-01T00:00:00Z" }));
	containers.exit.resolve(0);
	const images = fakeImages();
	const builds = {
		async *build() {},
		solve: () => Promise.reject(new Error("no build")),
		cacheUsage: async () => [],
		pruneCache: async () => [],
		inUse: () => false,
	};
	api = await serveTestApi({ containers, images, builds, extra: [imageRoutes(images) as never] });
});

afterAll(async () => {
	await api.close();
});

const nameOf = ({ method, path }: Operation) => `${method} ${path}`;

/** Status and, of a refusal, the message. A stream is left once its head is here. */
async function answerTo({ method, path }: Operation): Promise<{ status: number; message: string }> {
	const url = path.replace(/\{\w+\}/, path.startsWith("/exec/") ? "e1" : "thing");
	const gone = new AbortController();
	const init = { method, unix: api.path, signal: gone.signal };
	const reply = await fetch(`http://d/v1.51${url}`, init as RequestInit);
	const text = reply.ok || method === "HEAD" ? "" : await reply.text();
	gone.abort();
	return { status: reply.status, message: text.startsWith("{") ? JSON.parse(text).message : text };
}

async function unserved(operations: readonly Operation[]): Promise<string[]> {
	const found: string[] = [];
	for (const operation of operations) {
		const { status, message } = await answerTo(operation);
		// HEAD has no body to tell an unknown path by: archive of an unknown path would be 400
		const unknown = message === "page not found" || (operation.method === "HEAD" && status === 404);
		if (unknown || status === 405) found.push(nameOf(operation));
	}
	return found;
}

async function notImplemented(operations: readonly Operation[]): Promise<string[]> {
	const found: string[] = [];
	for (const operation of operations) if ((await answerTo(operation)).status === 501) found.push(nameOf(operation));
	return found.sort();
}

test("API v1.51 has 66 core operations and 41 of swarm and plugins, each listed once", () => {
	const names = [...CORE_OPERATIONS, ...SWARM_OPERATIONS].map(nameOf);
	expect([CORE_OPERATIONS.length, SWARM_OPERATIONS.length, new Set(names).size]).toEqual([66, 41, 107]);
});

test("an operation that no route serves is found", async () => {
	const invented = { method: "GET", path: "/containers/{id}/invented", area: "containers", query: {} } as const;
	const head = { ...invented, method: "HEAD", path: "/images/{name}/json" } as const;
	expect(await unserved([invented, head])).toEqual(["GET /containers/{id}/invented", "HEAD /images/{name}/json"]);
});

test("every operation has a route", async () => {
	expect(await unserved(CORE_OPERATIONS)).toEqual([]);
	expect(await unserved(SWARM_OPERATIONS)).toEqual([]);
});

test(`${CORE_OPERATIONS.length - UNSUPPORTED.length} of 66 are served; those that are not say so`, async () => {
	expect(await notImplemented(CORE_OPERATIONS)).toEqual(UNSUPPORTED);
	expect(await notImplemented(SWARM_OPERATIONS)).toEqual(REFUSED);
});

test("swarm operations answer as an engine outside a swarm, plugins as one without plugins", async () => {
	for (const operation of SWARM_OPERATIONS) {
		const { status, message } = await answerTo(operation);
		const name = nameOf(operation);
		if (REFUSED.includes(name)) continue;
		if (name === "GET /plugins") expect(status).toBe(200);
		else if (operation.area === "plugins") expect([name, status]).toEqual([name, 404]);
		else if (name.endsWith("/update"))
			expect([name, status, /^invalid \w+ version/.test(message)]).toEqual([name, 400, true]);
		else expect([name, status, /This node is not/.test(message)]).toEqual([name, 503, true]);
	}
});
