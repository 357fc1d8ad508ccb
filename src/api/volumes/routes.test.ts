import { expect, test } from "bun:test";
import { Elysia } from "elysia";
import { createTestVolumes } from "../../engine/volumes/testing/fakes.ts";
import { errorResponse } from "../errors.ts";
import { rememberVersion } from "../version.ts";
import { volumeRoutes } from "./routes.ts";

function serve() {
	const made = createTestVolumes();
	const app = new Elysia().onError(({ error }) => errorResponse(error)).use(volumeRoutes(made.volumes));
	const ask = async (method: string, path: string, body?: unknown, minor = 51) => {
		const headers = { "content-type": "application/json" };
		const request = new Request(`http://localhost${path}`, {
			method,
			...(body !== undefined && { body: JSON.stringify(body), headers }),
		});
		rememberVersion(request, minor);
		const reply = await app.fetch(request);
		const text = await reply.text();
		return { status: reply.status, json: text === "" ? undefined : JSON.parse(text) };
	};
	const list = async (filters: unknown) => {
		const { json } = await ask("GET", `/volumes?filters=${encodeURIComponent(JSON.stringify(filters))}`);
		return json.Volumes?.map(({ Name }: { Name: string }) => Name) ?? json.message;
	};
	return { ...made, ask, list };
}

test("create, inspect and remove reply as dockerd", async () => {
	const { ask, volumes } = serve();
	const made = await ask("POST", "/volumes/create", { Name: "data", Labels: { a: "1" }, DriverOpts: {} });
	expect(made).toEqual({
		status: 201,
		json: {
			CreatedAt: expect.any(String),
			Driver: "local",
			Labels: { a: "1" },
			Mountpoint: "/volumes/data/_data",
			Name: "data",
			Options: {},
			Scope: "local",
		},
	});
	expect(await ask("GET", "/volumes/data")).toEqual({ status: 200, json: made.json });
	await volumes.hold("c1", { name: "data" });
	const inUse = { status: 409, json: { message: "remove data: volume is in use - [c1]" } };
	expect(await ask("DELETE", "/volumes/data?force=1")).toEqual(inUse);
	await volumes.drop("c1");
	expect(await ask("DELETE", "/volumes/data")).toEqual({ status: 204, json: undefined });
	const gone = { status: 404, json: { message: "get data: no such volume" } };
	expect(await ask("GET", "/volumes/data")).toEqual(gone);
	expect(await ask("DELETE", "/volumes/data")).toEqual(gone);
	expect((await ask("DELETE", "/volumes/data?force=1")).status).toBe(204);
});

test("an empty create makes an anonymous volume; Labels and Options not given are null", async () => {
	const { ask } = serve();
	const { json } = await ask("POST", "/volumes/create");
	expect(json).toMatchObject({ Labels: { "com.docker.volume.anonymous": "" }, Options: null });
	expect((await ask("POST", "/volumes/create", { Name: "data" })).json).toMatchObject({ Labels: null, Options: null });
});

test("what belongs to a swarm, and wrong types, are refused", async () => {
	const { ask } = serve();
	expect((await ask("PUT", "/volumes/any?version=1", {})).status).toBe(503);
	expect((await ask("POST", "/volumes/create", { Name: "v1", ClusterVolumeSpec: {} })).status).toBe(503);
	const wrong = await ask("POST", "/volumes/create", { Name: 5 });
	expect([wrong.status, wrong.json.message]).toEqual([
		400,
		"invalid JSON: json: cannot unmarshal number into Go struct field CreateOptions.Name of type string",
	]);
});

test("list filters", async () => {
	const { volumes, list } = serve();
	await volumes.create({ name: "web-data", labels: { app: "web", tier: "1" } });
	await volumes.create({ name: "db-data", labels: { app: "db" } });
	await volumes.hold("c1", { name: "db-data" });
	expect(await list({})).toEqual(["web-data", "db-data"]);
	expect(await list({ dangling: ["true"] })).toEqual(["web-data"]);
	expect(await list({ dangling: { "0": true } })).toEqual(["db-data"]);
	expect(await list({ name: ["^web", "["] })).toEqual(["web-data"]);
	expect(await list({ name: ["data"] })).toHaveLength(2);
	expect(await list({ label: ["app", "tier=1"] })).toEqual(["web-data"]);
	expect(await list({ driver: ["nfs"] })).toEqual([]);
	expect(await list({ dangling: ["maybe"] })).toBe("invalid filter 'dangling=[maybe]'");
	expect(await list({ dangling: ["true", "false"] })).toBe("invalid filter 'dangling=[true false]'");
	expect(await list({ colour: ["red"] })).toBe("invalid filter 'colour'");
});

test("prune takes anonymous volumes alone, all on request, and with old clients", async () => {
	const { ask, volumes, list } = serve();
	const prune = (filters: object, minor?: number) =>
		ask("POST", `/volumes/prune?filters=${encodeURIComponent(JSON.stringify(filters))}`, undefined, minor);
	for (const name of ["one", "two", "three"]) await volumes.create({ name, labels: { name } });
	const anonymous = await volumes.create({});
	expect((await prune({})).json).toEqual({ VolumesDeleted: [anonymous.name], SpaceReclaimed: 0 });
	expect((await prune({ label: ["name=one"] })).json.VolumesDeleted).toEqual([]);
	expect((await prune({ label: ["name=one"], all: ["true"] })).json.VolumesDeleted).toEqual(["one"]);
	expect((await prune({ "label!": ["name=two"] }, 41)).json.VolumesDeleted).toEqual(["three"]);
	expect(await list({})).toEqual(["two"]);
	expect((await prune({ all: ["maybe"] })).json.message).toBe(
		`invalid filter 'all': strconv.ParseBool: parsing "maybe": invalid syntax`,
	);
});
