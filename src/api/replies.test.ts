import { afterAll, beforeAll, expect, test } from "bun:test";
import { FakeContainers, fakeRecord } from "./testing/fakes.ts";
import { serveTestApi, type TestApi } from "./testing/serve.ts";

let api: TestApi;

beforeAll(async () => {
	const containers = new FakeContainers();
	const web = fakeRecord("web", { status: "running", pid: 7, startedAt: "2026-01-01T00:00:00Z" });
	web.network = {
		sandboxId: "s",
		endpoints: [],
		ports: [{ protocol: "tcp", containerPort: 80, hostIp: "0.0.0.0", hostPort: 8080 }],
	};
	containers.records.push(
		web,
		fakeRecord("old", {
			status: "exited",
			exitCode: 3,
			oomKilled: false,
			startedAt: "2026-01-01T00:00:00Z",
			finishedAt: "2026-01-01T00:00:01Z",
		}),
	);
	api = await serveTestApi({ containers });
});

afterAll(async () => {
	await api.close();
});

async function ask(method: string, url: string, body?: string, headers: Record<string, string> = {}) {
	const reply = await fetch(`http://d${url}`, { method, body, headers, unix: api.path } as RequestInit);
	const text = await reply.text();
	const json = reply.headers.get("content-type") === "application/json" && text ? JSON.parse(text) : undefined;
	return { status: reply.status, headers: reply.headers, text, json, message: json?.message as string };
}

const filtered = (url: string, filters: object) => `${url}?filters=${encodeURIComponent(JSON.stringify(filters))}`;

test("clients of before 1.24 are told so in plain text", async () => {
	for (const [url, version] of [
		["/v1.23/info", "1.23"],
		["/v1/info", "1"],
	] as const) {
		const reply = await ask("GET", url);
		expect(reply.headers.get("content-type")).toBe("text/plain; charset=utf-8");
		expect([reply.status, reply.text]).toEqual([
			400,
			`client version ${version} is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version\n`,
		]);
	}
});

test("OPTIONS is answered of any path, HEAD of few, and a slash at the end is another path", async () => {
	expect(await ask("OPTIONS", "/v1.40/containers/json")).toMatchObject({ status: 200, text: "" });
	expect((await ask("HEAD", "/_ping")).status).toBe(200);
	expect((await ask("HEAD", "/info")).status).toBe(404);
	expect((await ask("GET", "/version/")).status).toBe(404);
	expect((await ask("GET", "/v1.41/containers/json/")).status).toBe(404);
});

test("a body must say that it is JSON", async () => {
	const create = (type: Record<string, string>) => ask("POST", "/containers/create", '{"Image":"busybox"}', type);
	expect((await create({ "content-type": "application/json; charset=utf-8" })).status).toBe(201);
	expect((await create({ "content-type": "text/plain" })).message).toBe(
		"unsupported Content-Type header (text/plain): must be 'application/json'",
	);
});

test("start takes no options", async () => {
	const json = { "content-type": "application/json" };
	expect((await ask("POST", "/containers/web/start", '{"Memory":1}', json)).message).toBe(
		"starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
	);
	expect((await ask("POST", "/containers/web/start?checkpoint=c")).message).toBe(
		"checkpoint is only supported in experimental mode",
	);
});

test("info's fields come and go with the client's version", async () => {
	const info = async (version: string) => (await ask("GET", `/v${version}/info`)).json;
	const newest = await info("1.51");
	expect(newest).toMatchObject({
		DriverStatus: expect.arrayContaining([["Backing Filesystem", "extfs"]]),
		FirewallBackend: { Driver: "nftables" },
		InitBinary: "docker-init",
		CDISpecDirs: [],
		NFd: 9,
	});
	expect(newest).not.toHaveProperty("BridgeNfIptables");
	const old = await info("1.43");
	expect(old).not.toHaveProperty("FirewallBackend");
	expect(old).toMatchObject({ BridgeNfIptables: false, RuncCommit: { Expected: "f8a0" } });
	expect(old.RegistryConfig).toHaveProperty("AllowNondistributableArtifactsCIDRs", null);
});

test("networks: the bridge says what it does, filters are checked, the predefined ones stay", async () => {
	const { json } = await ask("GET", "/networks/bridge");
	expect(json.Options).toMatchObject({
		"com.docker.network.bridge.default_bridge": "true",
		"com.docker.network.bridge.name": "fd0",
	});
	expect((await ask("GET", "/networks/bridge?verbose=x")).message).toContain("invalid value for verbose: x");
	expect((await ask("GET", "/networks/bridge?scope=swarm")).message).toBe("network bridge not found");
	expect((await ask("GET", filtered("/networks", { type: ["x"] }))).message).toBe("invalid filter: 'type'='x'");
	expect((await ask("GET", filtered("/networks", { dangling: ["x"] }))).message).toContain('must be "true"');
	expect(await ask("DELETE", "/networks/bridge")).toMatchObject({
		status: 403,
		message: "bridge is a pre-defined network and cannot be removed",
	});
	expect((await ask("DELETE", "/networks/nope")).message).toBe("network nope not found");
	expect((await ask("POST", "/networks/prune")).json).toEqual({ NetworksDeleted: null });
});

test("volumes, plugins and swarm: there are none", async () => {
	expect((await ask("GET", filtered("/volumes", { foo: ["x"] }))).message).toBe("invalid filter 'foo'");
	expect((await ask("DELETE", "/volumes/v")).message).toBe("get v: no such volume");
	expect((await ask("POST", "/volumes/prune")).json).toEqual({ VolumesDeleted: [], SpaceReclaimed: 0 });
	expect(await ask("GET", "/plugins/x/json")).toMatchObject({ status: 404, message: 'plugin "x" not found' });
	expect(await ask("POST", "/swarm/leave")).toMatchObject({ status: 503, message: "This node is not part of a swarm" });
	expect((await ask("GET", "/nodes")).message).toStartWith("This node is not a swarm manager.");
});

test("list filters: only `all` and a status show what does not run; bad values are named as docker does", async () => {
	const names = async (filters: object, all = "") =>
		(await ask("GET", `${filtered("/containers/json", filters)}${all}`)).json.map(
			(row: { Names: string[] }) => row.Names[0],
		);
	expect(await names({ exited: ["3"] })).toEqual([]);
	expect(await names({ exited: ["3"] }, "&all=1")).toEqual(["/old"]);
	expect(await names({ status: ["exited"] })).toEqual(["/old"]);
	expect(await names({ since: ["old"] })).not.toContain("/old");
	expect(await names({ name: ["("] })).toEqual([]);
	expect(await names({ publish: ["8080"] })).toEqual(["/web"]);
	expect(await names({ publish: ["80"] })).toEqual([]);
	expect(await names({ expose: ["79-80/tcp"] })).toEqual(["/web"]);
	expect(await names({ expose: ["80/udp"] })).toEqual([]);
	const message = async (filters: object) => (await ask("GET", filtered("/containers/json", filters))).message;
	expect(await message({ status: ["x"] })).toBe(
		"invalid filter 'status=x': invalid value for state (x): must be one of created, running, paused, restarting, removing, exited, dead",
	);
	expect(await message({ health: ["x"] })).toContain("must be one of none, starting, healthy, unhealthy");
	expect(await message({ exited: ["x"] })).toBe(`invalid filter 'exited=x': strconv.Atoi: parsing "x": invalid syntax`);
	expect(await message({ "is-task": ["x"] })).toBe("invalid filter 'is-task=[x]'");
});

test("events take any filter", async () => {
	expect((await ask("GET", `${filtered("/events", { x: ["y"] })}&until=1`)).status).toBe(200);
});
