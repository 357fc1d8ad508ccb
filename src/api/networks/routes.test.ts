import { expect, test } from "bun:test";
import { Elysia } from "elysia";
import type { NetworkRequest, Networks } from "../../engine/networks/contract.ts";
import type { NetworkRecord } from "../../engine/sandboxes/contract.ts";
import { errorResponse } from "../errors.ts";
import { FakeContainers, fakeNetworks, fakeRecord } from "../testing/fakes.ts";
import { networkRoutes } from "./routes.ts";

const USER: NetworkRecord = {
	id: "a".repeat(64),
	name: "blue",
	driver: "bridge",
	created: "2026-01-01T00:00:00Z",
	subnet: "10.1.0.0/24",
	bridge: "br-blue",
	config: {
		internal: true,
		attachable: false,
		subnetAsked: true,
		labels: { team: "x" },
		options: { o: "1" },
		ipam: { driver: "default", options: {}, config: [{ Subnet: "10.1.0.0/24" }] },
	},
	endpoints: [],
};

function server() {
	const created: NetworkRequest[] = [];
	const containers = new FakeContainers();
	containers.add(fakeRecord("web", { status: "created" }));
	const base = fakeNetworks();
	const list = () => [...base.list(), USER];
	const networks: Networks = {
		...base,
		list,
		create: async (request) => {
			created.push(request);
			return { id: "b".repeat(64) };
		},
		prune: async (chosen) =>
			list()
				.filter(chosen)
				.map(({ name }) => name),
	};
	const app = new Elysia().onError(({ error }) => errorResponse(error)).use(networkRoutes(networks, containers));
	const ask = async (method: string, path: string, body?: unknown) => {
		const headers = { "content-type": "application/json" };
		const init = { method, ...(body === undefined ? {} : { headers, body: JSON.stringify(body) }) };
		const reply = await app.handle(new Request(`http://localhost${path}`, init));
		const text = await reply.text();
		return { status: reply.status, json: text === "" ? undefined : JSON.parse(text) };
	};
	return { ask, created, containers };
}

const filters = (value: object) => `?filters=${encodeURIComponent(JSON.stringify(value))}`;

test("create passes on what was asked, with docker's defaults", async () => {
	const { ask, created } = server();
	const reply = await ask("POST", "/networks/create", { name: "n", IPAM: { Config: [{ Subnet: "10.0.0.0/8" }] } });
	expect(reply).toEqual({ status: 201, json: { Id: "b".repeat(64), Warning: "" } });
	expect(created[0]).toMatchObject({ name: "n", driver: "", enableIpv4: true, enableIpv6: false, internal: false });
	expect(created[0]?.ipam).toEqual({ driver: "", options: null, config: [{ Subnet: "10.0.0.0/8" }] });
	const wrong = await ask("POST", "/networks/create", { Name: 3 });
	expect(wrong).toMatchObject({
		status: 400,
		json: { message: expect.stringContaining("CreateRequest.Name of type string") },
	});
});

test("connect and disconnect are asked of the containers, without what has no effect", async () => {
	const { ask, containers } = server();
	const asked = {
		IPAMConfig: { IPv4Address: "10.1.0.5", IPv6Address: "" },
		Aliases: ["a"],
		Links: null,
		MacAddress: "",
	};
	expect((await ask("POST", "/networks/blue/connect", { Container: "web", EndpointConfig: asked })).status).toBe(200);
	expect((await ask("POST", "/networks/blue/connect", { Container: "web" })).status).toBe(200);
	expect((await ask("POST", "/networks/blue/disconnect", { Container: "web", Force: true })).status).toBe(200);
	expect(containers.calls).toEqual([
		["connect", "web", "blue", { ipamConfig: { IPv4Address: "10.1.0.5" }, aliases: ["a"] }],
		["connect", "web", "blue", {}],
		["disconnect", "web", "blue"],
	]);
	expect((await ask("POST", "/networks/blue/connect", { Container: "nope" })).status).toBe(404);
});

test("inspect shows a user's network as it was asked for", async () => {
	const { ask } = server();
	expect((await ask("GET", "/networks/blue")).json).toMatchObject({
		Name: "blue",
		Internal: true,
		IPAM: { Driver: "default", Options: {}, Config: [{ Subnet: "10.1.0.0/24" }] },
		Options: { o: "1" },
		Labels: { team: "x" },
		Containers: {},
	});
});

test.each<[object, string[]]>([
	[{ type: ["custom"] }, ["blue"]],
	[{ type: ["builtin"] }, ["bridge"]],
	[{ dangling: ["true"] }, ["blue"]],
	[{ dangling: ["false"] }, ["bridge"]],
	[{ label: ["team"] }, ["blue"]],
	[{ label: ["team=y"] }, []],
	[{ driver: ["bridge"], name: ["bl"] }, ["blue"]],
	[{ id: ["aaa"] }, ["blue"]],
	[{ scope: ["swarm"] }, []],
])("list filters by %j", async (wanted, names) => {
	const { ask } = server();
	const { json } = await ask("GET", `/networks${filters(wanted)}`);
	expect(json.map((one: { Name: string }) => one.Name)).toEqual(names);
});

test("prune chooses by age and labels", async () => {
	const { ask } = server();
	const pruned = async (wanted: object) => (await ask("POST", `/networks/prune${filters(wanted)}`)).json;
	expect(await pruned({ label: ["team=x"] })).toEqual({ NetworksDeleted: ["blue"] });
	expect(await pruned({ "label!": ["team"] })).toEqual({ NetworksDeleted: ["bridge"] });
	expect(await pruned({ until: ["2025-01-01"] })).toEqual({ NetworksDeleted: null });
	expect(await pruned({ until: ["x"] })).toEqual({ message: 'failed to parse value as time or duration: "x"' });
	expect(await pruned({ zz: ["x"] })).toEqual({ message: "invalid filter 'zz'" });
});
