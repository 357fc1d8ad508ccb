import { expect, test } from "bun:test";
import { Elysia } from "elysia";
import type { CheckRequest, NetworkInsight, Topology } from "../../engine/topology/contract.ts";
import { errorResponse } from "../errors.ts";
import { insightRoutes } from "./insight.ts";

const picture: Topology = { instance: "fd", networks: [], sandboxes: [] };
const asked: CheckRequest[] = [];
const insight: NetworkInsight = {
	topology: () => picture,
	check: async (request) => {
		asked.push(request);
		return { ...request, ok: false, steps: [], verdict: "no" };
	},
	status: () => ({ bridges: [], ports: [], leaks: [], faults: [] }),
};
const app = new Elysia().onError(({ error }) => errorResponse(error));
for (const route of insightRoutes(insight)) app.use(route);

const get = (path: string) => app.handle(new Request(`http://localhost/foredeck/v1${path}`));
const post = (body: unknown) => {
	const headers = { "content-type": "application/json" };
	return app.handle(
		new Request("http://localhost/foredeck/v1/checks", { method: "POST", body: JSON.stringify(body), headers }),
	);
};

test("the topology comes as JSON, text, dot and SVG, and in no other format", async () => {
	expect(await (await get("/topology")).json()).toEqual(picture);
	const types = ["text", "dot", "svg"].map(async (format) =>
		(await get(`/topology?format=${format}`)).headers.get("content-type"),
	);
	expect(await Promise.all(types)).toEqual([
		"text/plain; charset=utf-8",
		"text/vnd.graphviz; charset=utf-8",
		"image/svg+xml",
	]);
	const refused = await get("/topology?format=png");
	expect([refused.status, await refused.json()]).toEqual([
		400,
		{ message: "invalid format png: it is one of json, text, dot, svg" },
	]);
});

test("a check answers 200 whatever it finds; the port may be left out", async () => {
	const reply = await post({ from: "web", to: "db", port: 80 });
	expect([reply.status, await reply.json()]).toEqual([
		200,
		{ from: "web", to: "db", port: 80, ok: false, steps: [], verdict: "no" },
	]);
	await post({ from: "web", to: "db" });
	expect(asked).toEqual([
		{ from: "web", to: "db", port: 80 },
		{ from: "web", to: "db" },
	]);
});

test.each<[string, unknown]>([
	["from is needed: the container from which to look", { to: "db" }],
	["to is needed: a container, an address or a host name", { from: "web" }],
	["invalid port 70000: it is 1 to 65535", { from: "web", to: "db", port: 70000 }],
	["invalid family 5: it is 4 or 6", { from: "web", to: "db", family: 5 }],
])("a check is refused: %s", async (message, body) => {
	const reply = await post(body);
	expect([reply.status, await reply.json()]).toEqual([400, { message }]);
});

test("the status", async () => {
	expect(await (await get("/network-status")).json()).toEqual({ bridges: [], ports: [], leaks: [], faults: [] });
});
