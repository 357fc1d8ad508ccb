import { expect, test } from "bun:test";
import { Elysia } from "elysia";
import type { Images, PullOptions } from "../../engine/images/contract.ts";
import { EngineError } from "../../shared/errors.ts";
import { errorResponse } from "../errors.ts";
import { fakeImages } from "../testing/fakes.ts";
import { authOf, credentialsOf, distributionReply, searchReply } from "./registry.ts";
import { imageRoutes } from "./routes.ts";

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const request = (path: string, init?: RequestInit) => new Request(`http://localhost${path}`, init);

/** The routes over a fake whose methods are replaced; errors keep their status as in the router. */
function serve(methods: Partial<Images>) {
	const app = new Elysia()
		.onError(({ error }) => errorResponse(error))
		.use(imageRoutes({ ...fakeImages(), ...methods }));
	return async (method: string, path: string, headers: Record<string, string> = {}) => {
		const reply = await app.fetch(request(path, { method, headers }));
		return { status: reply.status, text: await reply.text() };
	};
}

test("credentials come from the header in either alphabet; nothing of them is shown when they are broken", () => {
	const auth = { username: "me", password: "p?>~", serveraddress: "reg:5" };
	for (const header of [encode(auth), Buffer.from(JSON.stringify(auth)).toString("base64")]) {
		expect(credentialsOf(request("/", { headers: { "X-Registry-Auth": header } }))).toEqual({
			username: "me",
			password: "p?>~",
			serverAddress: "reg:5",
		});
	}
	expect(credentialsOf(request("/"))).toBeUndefined();
	expect(credentialsOf(request("/", { headers: { "X-Registry-Auth": "e30=" } }))).toBeUndefined();
	expect(() => credentialsOf(request("/", { headers: { "X-Registry-Auth": "secret" } }))).toThrow(
		/^invalid X-Registry-Auth header: must be the base64 of a JSON object$/,
	);
	expect(authOf({ auth: Buffer.from("u:p:q").toString("base64") })).toEqual({ username: "u", password: "p:q" });
	expect(authOf({ identitytoken: "t", password: "" })).toEqual({ identityToken: "t" });
});

test("a pull takes name, tag, platform and credentials; its lines end in docker's errorDetail when it fails midway", async () => {
	let asked: [string, PullOptions] | undefined;
	const call = serve({
		async *pull(name, options) {
			asked = [name, options];
			yield { status: "Pulling from app", id: "1" };
			throw new EngineError("invalid", "broken");
		},
	});
	const headers = { "X-Registry-Auth": encode({ username: "me" }) };
	const reply = await call("POST", "/images/create?fromImage=reg:5/app&tag=1&platform=linux/arm64", headers);
	expect(reply.status).toBe(200);
	expect(
		reply.text
			.split("\r\n")
			.slice(0, 2)
			.map((line) => JSON.parse(line)),
	).toEqual([
		{ status: "Pulling from app", id: "1" },
		{ errorDetail: { message: "broken" }, error: "broken" },
	]);
	expect(asked).toMatchObject(["reg:5/app", { tag: "1", platform: "linux/arm64", credentials: { username: "me" } }]);
});

test("what fails before the first line is a status", async () => {
	const call = serve({
		// biome-ignore lint/correctness/useYield: it fails first
		async *push() {
			throw new EngineError("not-found", "nothing there");
		},
	});
	expect((await call("POST", "/images/reg:5%2Fapp/push?tag=1")).status).toBe(404);
});

test("save takes names in the path, repeated, and with commas; several platforms are refused", async () => {
	let names: readonly string[] = [];
	const call = serve({
		async *save(refs) {
			names = refs;
			yield new TextEncoder().encode("tar");
		},
	});
	expect(await call("GET", "/images/get?names=a&names=b,c:1")).toEqual({ status: 200, text: "tar" });
	expect(names).toEqual(["a", "b", "c:1"]);
	await call("GET", "/images/reg:5%2Fapp/get");
	expect(names).toEqual(["reg:5/app"]);
	const refused = await call("GET", "/images/get?names=a&platform=linux%2Famd64&platform=linux%2Farm64");
	expect(refused.text).toContain("platform is not supported more than once");
});

test("search checks its limit and filters; distribution shows descriptor and platforms", async () => {
	const found = { name: "x", description: "d", starCount: 3, isOfficial: true, isAutomated: false };
	let asked: unknown;
	const images: Images = {
		...fakeImages(),
		search: async (term, { limit, filters }) => {
			asked = [term, limit, filters];
			return [found];
		},
		describe: async () => ({
			descriptor: { mediaType: "m", digest: "d", size: 1 },
			platforms: [{ os: "linux", architecture: "amd64" }],
		}),
	};
	const filters = encodeURIComponent('{"stars":["3"],"is-official":{"true":true}}');
	const rows = await (await searchReply(images, request(`/images/search?term=x&limit=5&filters=${filters}`))).json();
	expect(rows).toEqual([{ star_count: 3, is_official: true, name: "x", is_automated: false, description: "d" }]);
	expect(asked).toEqual(["x", 5, { stars: 3, official: true }]);
	await expect(searchReply(images, request("/images/search?term=x&limit=101"))).rejects.toThrow("outside the range");
	await expect(searchReply(images, request(`/images/search?term=x&filters={"a":["b"]}`))).rejects.toThrow(
		"invalid filter 'a'",
	);
	await expect(searchReply(images, request("/images/search?term=x&filters=7"))).rejects.toThrow("invalid filters");
	expect(await (await distributionReply(images, "x", request("/"))).json()).toEqual({
		Descriptor: { mediaType: "m", digest: "d", size: 1 },
		Platforms: [{ os: "linux", architecture: "amd64" }],
	});
});
