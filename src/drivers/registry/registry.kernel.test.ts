import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../oci/digest.ts";
import type { Credentials, Registry } from "./driver.ts";
import { makeCertificates, type TestCertificates } from "./testing/certificates.ts";
import { bytesOf, clientOf, failureText, refOf } from "./testing/client.ts";
import { type DebianRegistry, startDebianRegistry } from "./testing/debian-registry.ts";
import { fakeTiming } from "./testing/fake-registry.ts";
import { type Fault, startFaultProxy } from "./testing/fault-proxy.ts";
import { realTiming } from "./timing.ts";

const ALICE = { username: "alice", password: "s3cret-word" };
const TYPE = "application/vnd.oci.image.manifest.v1+json";
const LAYER = Buffer.alloc(3_000_000, "some layer, ");
const LAYER_DIGEST = digestOf(LAYER);

const folder = mkdtempSync(join(tmpdir(), "registry-test-"));
const certificates = join(folder, "certs.d");
let files: TestCertificates;
let plain: DebianRegistry;

beforeAll(async () => {
	files = makeCertificates(folder);
	plain = await startDebianRegistry();
	await push(clientOf(realTiming), plain.domain, undefined);
});

afterAll(async () => {
	await plain?.[Symbol.asyncDispose]();
	rmSync(folder, { recursive: true, force: true });
});

async function* pieces(size = 500_000): AsyncGenerator<Uint8Array> {
	for (let at = 0; at < LAYER.length; at += size) yield LAYER.subarray(at, at + size);
}

const layer = { mediaType: "application/vnd.oci.image.layer.v1.tar", digest: LAYER_DIGEST, size: LAYER.length };
const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: TYPE, config: layer, layers: [layer] }));

async function push(client: Registry, domain: string, credentials: Credentials | undefined): Promise<void> {
	const ref = refOf(domain);
	await client.pushBlob(ref, pieces(), async () => LAYER_DIGEST, { credentials });
	expect(await client.pushManifest(ref, { mediaType: TYPE, bytes: manifest }, { credentials })).toBe(
		digestOf(manifest),
	);
}

/** Pushes and reads everything back. */
async function roundTrip(client: Registry, domain: string, credentials?: Credentials): Promise<void> {
	await push(client, domain, credentials);
	const ref = refOf(domain);
	const options = { credentials };
	const got = await client.manifest(ref, options);
	expect(got.digest).toBe(digestOf(manifest));
	expect(await client.describe(ref, options)).toEqual({ mediaType: TYPE, digest: got.digest, size: manifest.length });
	expect(await client.tags(ref, options)).toEqual(["1"]);
	expect(digestOf(await bytesOf(client.blob(ref, layer, options)))).toBe(LAYER_DIGEST);
	expect(await client.hasBlob(ref, LAYER_DIGEST, options)).toBe(true);
	expect(await client.hasBlob(ref, digestOf("none"), options)).toBe(false);
	const other = refOf(domain, "other/app:1");
	expect(await client.mountBlob(other, LAYER_DIGEST, "team/app", options)).toBe(true);
	expect(await client.mountBlob(other, digestOf("none"), "team/app", options)).toBe(false);
	expect(await client.hasBlob(other, LAYER_DIGEST, options)).toBe(true);
}

test("plain HTTP on loopback: push, pull, tags, mount", async () => {
	await roundTrip(clientOf(realTiming), plain.domain);
	const client = clientOf(realTiming);
	expect(await failureText(client.manifest(refOf(plain.domain, "team/app:2"), {}))).toBe(
		`not-found: manifest for ${plain.domain}/team/app:2 not found: manifest unknown: manifest unknown`,
	);
	expect(await failureText(client.tags(refOf(plain.domain, "none:1"), {}))).toBe(
		`not-found: repository ${plain.domain}/none not found: name unknown: repository name not known to registry`,
	);
	const wrong = client.pushBlob(refOf(plain.domain), pieces(), async () => digestOf("x"), {});
	expect(await failureText(wrong)).toBe("internal: digest invalid: provided digest did not match uploaded content");
});

test("TLS with htpasswd: log-in, push and pull with credentials; docker's texts without", async () => {
	await using secured = await startDebianRegistry({ tls: files, user: { name: "alice", password: ALICE.password } });
	const client = clientOf(realTiming);
	expect((await client.login({ ...ALICE, serverAddress: secured.domain })).status).toBe("Login Succeeded");
	expect(await failureText(client.login({ ...ALICE, password: "x", serverAddress: secured.domain }))).toBe(
		`internal: login attempt to https://${secured.domain}/v2/ failed with status: 401 Unauthorized`,
	);
	await roundTrip(client, secured.domain, ALICE);
	expect(await failureText(client.manifest(refOf(secured.domain), {}))).toBe(
		`internal: Head "https://${secured.domain}/v2/team/app/manifests/1": no basic auth credentials`,
	);
	const wrong = { credentials: { ...ALICE, password: "x" } };
	expect(await failureText(client.manifest(refOf(secured.domain), wrong))).toBe(
		"unauthorized: unauthorized: authentication required",
	);
	expect(await failureText(client.hasBlob(refOf(secured.domain), LAYER_DIGEST, wrong))).toBe(
		"unauthorized: unauthorized: authentication required",
	);
});

/** A client for which this registry is an ordinary, secure host: loopback addresses never are, a name that leads there by DNS is not either. */
async function secureFailure(registry: DebianRegistry, authority: boolean, client: boolean): Promise<string> {
	const { createTransport } = await import("./transport.ts");
	const host = join(certificates, registry.domain);
	rmSync(host, { recursive: true, force: true });
	mkdirSync(host, { recursive: true });
	if (authority) cpSync(files.authority, join(host, "ca.crt"));
	if (client) {
		cpSync(files.clientCert, join(host, "me.cert"));
		cpSync(files.clientKey, join(host, "me.key"));
	}
	const insecure = { isInsecure: () => false, resolvesInsecure: async () => false };
	const transport = createTransport({ certificates, userAgent: "test/1", insecure, timing: realTiming });
	const origin = { url: new URL(`https://${registry.domain}`), tls: await transport.tlsOf(registry.domain, true) };
	const url = new URL("/v2/", origin.url);
	const sent = transport.send(origin, { method: "GET", url, headers: {} });
	return await sent.then(
		({ response }) => `${response.status}`,
		(error: Error) => error.message.replace(registry.domain, "HOST"),
	);
}

test("TLS is verified against the system's and certs.d's authorities; client certificates are shown", async () => {
	await using secured = await startDebianRegistry({ tls: files, clientCertificates: true });
	const get = 'Get "https://HOST/v2/": ';
	expect(await secureFailure(secured, false, false)).toBe(
		`${get}tls: failed to verify certificate: x509: certificate signed by unknown authority`,
	);
	expect(await secureFailure(secured, true, false)).toBe(`${get}remote error: tls: handshake failure`);
	expect(await secureFailure(secured, true, true)).toBe("200");
	await using expired = await startDebianRegistry({ tls: files, cert: files.expiredCert });
	expect(await secureFailure(expired, true, false)).toBe(
		`${get}tls: failed to verify certificate: x509: certificate has expired or is not yet valid`,
	);
	expect(await secureFailure(plain, true, false)).toBe(`${get}http: server gave HTTP response to HTTPS client`);
});

test("behind a proxy that resets, stalls, cuts and overloads, a blob comes whole in the fifth try; a fifth trouble is too much", async () => {
	const faults: Fault[] = [
		{ kind: "reset", after: 700_000 },
		{ kind: "stall", after: 500_000 },
		{ kind: "status", status: 503 },
		{ kind: "cut", after: 300_000 },
	];
	const last: Fault = { kind: "status", status: 429, headers: { "retry-after": "3" } };
	const readThrough = async (all: Fault[]) => {
		let at = 0;
		await using proxy = await startFaultProxy(plain.domain, ({ path }) =>
			path.includes("/blobs/") ? all[at++] : undefined,
		);
		return await failureOrDigest(clientOf(fakeTiming({ stallMs: 300, answerMs: 1000 })), proxy.domain);
	};
	expect(await readThrough(faults)).toBe(LAYER_DIGEST);
	expect(await readThrough([...faults, last])).toBe("too-many-requests: toomanyrequests: too many requests");
});

async function failureOrDigest(client: Registry, domain: string): Promise<string> {
	const read = bytesOf(client.blob(refOf(domain), layer, {}));
	return await read.then(
		(bytes) => digestOf(bytes),
		() => failureText(read),
	);
}

test("a proxy that corrupts, truncates or answers with a web page is found out", async () => {
	await using proxy = await startFaultProxy(plain.domain);
	const client = clientOf();
	const blob = async () => await failureOrDigest(client, proxy.domain);
	proxy.rule = ({ path }) => (path.includes("/blobs/") ? { kind: "corrupt", at: 1_234_567 } : undefined);
	expect(await blob()).not.toBe(LAYER_DIGEST);
	proxy.rule = ({ path }) => (path.includes("/blobs/") ? { kind: "truncate", to: 1000 } : undefined);
	expect(await blob()).toContain("should have 3000000 bytes and has 1000 bytes in the registry");
	proxy.rule = ({ path }) => (path === "/v2/" ? undefined : { kind: "html" });
	expect(await blob()).toContain("(a web page, text/html)");
	expect(await failureText(client.manifest(refOf(proxy.domain), {}))).toContain("the registry answered a web page");
	proxy.rule = ({ path }) => (path.includes("/manifests/") ? { kind: "corrupt", at: 3 } : undefined);
	expect(await failureText(client.manifest(refOf(proxy.domain), {}))).toMatch(/not JSON|the registry names it/);
});
