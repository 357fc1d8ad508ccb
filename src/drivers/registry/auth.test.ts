import { expect, test } from "bun:test";
import type { Credentials } from "./driver.ts";
import { clientOf, failureText, refOf } from "./testing/client.ts";
import { type FakeServer, fakeTiming, type Handler, sendJson, startFake } from "./testing/fake-registry.ts";
import { createTokens } from "./tokens.ts";
import type { Transport } from "./transport.ts";
import { createWatchdog } from "./watchdog.ts";

const TYPE = "application/vnd.oci.image.manifest.v1+json";
const MANIFEST = JSON.stringify({ schemaVersion: 2, mediaType: TYPE, config: {}, layers: [] });
const ALICE = { username: "alice", password: "s3cret-word" };

/** A registry that wants a bearer token, and the token service beside it. Tokens are `t1`, `t2`, ...; `accepts` says which are good. */
async function startBearer(options: {
	token?: Handler;
	accepts?: (token: string) => boolean;
	expiresIn?: number;
	error?: string;
}): Promise<FakeServer & { issued: () => number }> {
	let issued = 0;
	const server: FakeServer = await startFake(async (request, response, raw) => {
		if (request.url.startsWith("/token")) {
			issued++;
			if (await options.token?.(request, response, raw)) return true;
			return sendJson(response, 200, { token: `t${issued}`, expires_in: options.expiresIn ?? 300 });
		}
		const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
		if (token === undefined || !(options.accepts?.(token) ?? true)) {
			const error = token === undefined ? "" : (options.error ?? "");
			const challenge = `Bearer realm="http://${server.domain}/token",service="svc"${error}`;
			return sendJson(
				response,
				401,
				{ errors: [{ code: "UNAUTHORIZED", message: "authentication required" }] },
				{ "www-authenticate": challenge },
			);
		}
		if (!request.url.includes("/manifests/")) return undefined;
		response.writeHead(200, { "content-type": TYPE }).end(MANIFEST);
		return true;
	});
	return Object.assign(server, { issued: () => issued });
}

test("one token serves parallel requests of a scope; another scope gets its own", async () => {
	await using server = await startBearer({});
	const client = clientOf();
	const ref = refOf(server.domain);
	await Promise.all([1, 2, 3, 4].map(() => client.manifest(ref, { credentials: ALICE })));
	expect(server.issued()).toBe(1);
	const asked = server.seen.find((one) => one.url.startsWith("/token"));
	expect(asked?.url).toBe("/token?service=svc&scope=repository%3Ateam%2Fapp%3Apull&account=alice");
	expect(asked?.headers.authorization).toBe(`Basic ${btoa("alice:s3cret-word")}`);
	await client.manifest(refOf(server.domain, "other:1"), { credentials: ALICE });
	expect(server.issued()).toBe(2);
	await client.manifest(ref, {});
	expect(server.issued()).toBe(3);
	expect(server.seen.findLast((one) => one.url.startsWith("/token"))?.headers.authorization).toBeUndefined();
});

test("a token is asked for anew when it is about to expire, and when the registry refuses it before", async () => {
	const refused = new Set<string>();
	await using server = await startBearer({ accepts: (token) => !refused.has(token) });
	const timing = fakeTiming();
	const client = clientOf(timing);
	const ref = refOf(server.domain);
	await client.manifest(ref, {});
	timing.clock += 280_000;
	await client.manifest(ref, {});
	expect(server.issued()).toBe(1);
	timing.clock += 11_000;
	await client.manifest(ref, {});
	expect(server.issued()).toBe(2);
	refused.add("t2");
	await client.manifest(ref, {});
	expect(server.issued()).toBe(3);
});

test("an identity token is exchanged by POST, a registry token goes as it is", async () => {
	await using server = await startBearer({});
	const client = clientOf();
	const ref = refOf(server.domain);
	await client.manifest(ref, { credentials: { username: "<token>", identityToken: "id-1" } });
	const asked = server.seen.find((one) => one.url === "/token");
	expect(asked?.method).toBe("POST");
	expect(Object.fromEntries(new URLSearchParams(asked?.body))).toEqual({
		grant_type: "refresh_token",
		refresh_token: "id-1",
		service: "svc",
		client_id: "docker",
		scope: "repository:team/app:pull",
	});
	await client.manifest(ref, { credentials: { registryToken: "mine" } });
	expect(server.seen.at(-1)?.headers.authorization).toBe("Bearer mine");
	expect(server.issued()).toBe(1);
});

test("refused credentials and missing rights are told in docker's words, without the password", async () => {
	const details = { details: "incorrect username or password" };
	await using wrong = await startBearer({ token: (_, response) => sendJson(response, 401, details) });
	const ref = refOf(wrong.domain);
	expect(await failureText(clientOf().manifest(ref, { credentials: ALICE }))).toBe(
		`unauthorized: Head "http://${wrong.domain}/v2/team/app/manifests/1": unauthorized: incorrect username or password`,
	);
	await using poor = await startBearer({ accepts: () => false, error: ',error="insufficient_scope"' });
	expect(await failureText(clientOf().manifest(refOf(poor.domain), { credentials: ALICE }))).toBe(
		`not-found: pull access denied for ${poor.domain}/team/app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied`,
	);
	expect(poor.issued()).toBe(1);
});

test("basic: credentials are sent to the registry; without them docker's text comes, with wrong ones the registry's", async () => {
	await using server = await startFake((request, response) => {
		if (request.headers.authorization === `Basic ${btoa("alice:s3cret-word")}`) {
			response.writeHead(200, { "content-type": TYPE }).end(request.url === "/v2/" ? "{}" : MANIFEST);
			return true;
		}
		return sendJson(response, 401, {}, { "www-authenticate": 'Basic realm="x"' });
	});
	const client = clientOf();
	const ref = refOf(server.domain);
	expect(await failureText(client.manifest(ref, {}))).toBe(
		`internal: Head "http://${server.domain}/v2/team/app/manifests/1": no basic auth credentials`,
	);
	const bad = { ...ALICE, password: "other-word" };
	expect(await failureText(client.manifest(ref, { credentials: bad }))).toBe(
		"unauthorized: unauthorized: authentication required",
	);
	expect((await client.manifest(ref, { credentials: ALICE })).mediaType).toBe(TYPE);
	expect(await client.login({ ...ALICE, serverAddress: `http://${server.domain}/v2/` })).toEqual({
		status: "Login Succeeded",
		identityToken: "",
	});
	expect(await failureText(client.login({ ...bad, serverAddress: server.domain }))).toBe(
		`internal: login attempt to http://${server.domain}/v2/ failed with status: 401 Unauthorized`,
	);
});

test("login asks for an identity token and returns it", async () => {
	await using server = await startBearer({
		token: (_, response) => sendJson(response, 200, { access_token: "a", refresh_token: "keep-me" }),
	});
	const reply = await clientOf().login({ ...ALICE, serverAddress: server.domain });
	expect(reply).toEqual({ status: "Login Succeeded", identityToken: "keep-me" });
	const query = new URLSearchParams(server.seen[0]?.url.split("?")[1]);
	expect(Object.fromEntries(query)).toMatchObject({ offline_token: "true", client_id: "docker", account: "alice" });
});

test("a token service that answers nonsense fails clearly", async () => {
	for (const [answer, text] of [
		["{}", "authorization server did not include a token in the response"],
		["<html>", "unable to decode token response: not JSON"],
	] as const) {
		await using server = await startBearer({ token: (_, response) => response.end(answer) !== undefined });
		expect(await failureText(clientOf().manifest(refOf(server.domain), {}))).toContain(text);
	}
	await using odd = await startFake((_, response) =>
		sendJson(response, 401, {}, { "www-authenticate": 'Bearer realm="file:///etc"' }),
	);
	expect(await failureText(clientOf().manifest(refOf(odd.domain), { credentials: ALICE }))).toContain(
		"invalid token service",
	);
});

test("credentials do not follow a redirect to another host, nor come back with a second one", async () => {
	await using other = await startFake((request, response) => {
		const back = new URLSearchParams(request.url.split("?")[1]).get("back");
		if (!back) response.end("12345");
		else response.writeHead(307, { location: back }).end();
		return true;
	});
	await using server = await startBearer({});
	await using front = await startFake((request, response) => {
		if (request.url === "/v2/")
			return sendJson(response, 401, {}, { "www-authenticate": `Bearer realm="http://${server.domain}/token"` });
		if (request.url === "/here") response.end("12345");
		else if (request.url.includes("1111")) response.writeHead(307, { location: "/here" }).end();
		else response.writeHead(307, { location: `http://${other.domain}/x?back=http://${front.domain}/here` }).end();
		return true;
	});
	const client = clientOf();
	const read = async (digit: string) => {
		const blob = { digest: `sha256:${digit.repeat(64)}`, size: 5 };
		for await (const _ of client.blob(refOf(front.domain), blob, { credentials: ALICE }));
	};
	await read("1");
	expect(front.seen.map((one) => one.headers.authorization)).toEqual(["Bearer t1", "Bearer t1"]);
	await read("2");
	expect(other.seen.map((one) => one.headers.authorization)).toEqual([undefined]);
	expect(front.seen.at(-1)?.headers.authorization).toBeUndefined();
});

test("an address that is a mirror and a registry gets credentials as a registry only", async () => {
	await using server = await startBearer({});
	const client = clientOf(fakeTiming(), { mirrors: [`http://${server.domain}`] });
	const options = { credentials: ALICE };
	await client.manifest({ domain: "docker.io", path: "library/app", tag: "1" }, options);
	await client.manifest(refOf(server.domain), options);
	const asked = server.seen.filter((one) => one.url.startsWith("/token"));
	expect(asked.map((one) => one.headers.authorization)).toEqual([undefined, `Basic ${btoa("alice:s3cret-word")}`]);
});

test("a verified registry cannot have the password sent in the clear; without a password there is nothing to protect", async () => {
	const sent: string[] = [];
	const transport: Transport = {
		insecure: { isInsecure: () => false, resolvesInsecure: async () => false },
		tlsOf: async () => ({ rejectUnauthorized: true }),
		async send(_, { url }) {
			sent.push(url.origin);
			return { response: Response.json({ token: "t" }), url, watchdog: createWatchdog(1000) };
		},
	};
	const tokens = createTokens(transport, fakeTiming());
	const origin = { url: new URL("https://reg.test"), tls: { rejectUnauthorized: true } };
	const challenges = [{ scheme: "bearer", parameters: { realm: "http://auth.test/token" } }];
	const ask = (credentials?: Credentials) => tokens.authorize(origin, { challenges, scopes: ["s"], credentials });
	expect(await failureText(ask(ALICE))).toContain("cannot send credentials to http://auth.test");
	expect(sent).toEqual([]);
	expect((await ask())?.value).toBe("Bearer t");
});
