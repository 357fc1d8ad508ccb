import { digestOf, isDigest } from "../../oci/digest.ts";
import type { Reference } from "../../oci/reference.ts";
import type { Call, Send } from "./calls.ts";
import type { RegistryOptions } from "./driver.ts";
import type { Endpoint } from "./endpoints.ts";
import { RegistryFailure } from "./failure.ts";
import { pullScope, pushScope } from "./scopes.ts";
import { type Timing, withRetries } from "./timing.ts";
import type { Answer } from "./transport.ts";

/** Sends and retries what can be sent again; the answer's body is let go. */
async function settled(
	parts: { send: Send; timing: Timing },
	endpoint: Endpoint,
	call: Omit<Call, "credentials" | "signal">,
	options: RegistryOptions,
): Promise<Answer> {
	return await withRetries(parts.timing, options.signal, async () => {
		const answer = await parts.send(endpoint, { ...call, credentials: options.credentials, signal: options.signal });
		answer.watchdog.end();
		return answer;
	});
}

type Parts = Parameters<typeof settled>[0];

/** Throws RegistryFailure for anything but yes and no. */
export async function headBlob(
	parts: Parts,
	endpoint: Endpoint,
	repository: Reference,
	digest: string,
	options: RegistryOptions,
): Promise<boolean> {
	const path = `${repository.path}/blobs/${digest}`;
	const call = { method: "HEAD", path, scopes: [pushScope(repository)], accept: [200, 404] };
	return (await settled(parts, endpoint, call, options)).response.status === 200;
}

/** Asks for a mount. A registry that opens an upload instead has it cancelled again. */
export async function mount(
	parts: Parts,
	endpoint: Endpoint,
	repository: Reference,
	digest: string,
	from: string,
	options: RegistryOptions,
): Promise<boolean> {
	const query = new URLSearchParams({ mount: digest, from });
	const scopes = [pushScope(repository), pullScope({ path: from })];
	const call = { method: "POST", path: `${repository.path}/blobs/uploads/?${query}`, scopes, accept: [201, 202] };
	const answer = await settled(parts, endpoint, call, options);
	if (answer.response.status === 201) return true;
	await cancel(parts.send, endpoint, repository, locationOf(answer), options);
	return false;
}

/**
 * Uploads in one stream (POST, PATCH, PUT). The body cannot be sent twice: a connection that breaks under it fails the upload, which is
 * cancelled then. The final PUT is repeated, and believed to have worked when the blob is there.
 */
export async function uploadBlob(
	parts: Parts,
	endpoint: Endpoint,
	repository: Reference,
	body: AsyncIterable<Uint8Array>,
	digest: () => Promise<string>,
	options: RegistryOptions,
): Promise<void> {
	const scopes = [pushScope(repository)];
	const start = { method: "POST", path: `${repository.path}/blobs/uploads/`, scopes, accept: [202] };
	let location = locationOf(await settled(parts, endpoint, start, options));
	try {
		const headers = { "Content-Type": "application/octet-stream" };
		// 201 is the spec's answer to a chunk, 202 what distribution sends, 204 what old ones do
		const patch = { method: "PATCH", path: location, scopes, headers, body, accept: [201, 202, 204], ...options };
		const answer = await parts.send(endpoint, patch);
		answer.watchdog.end();
		location = locationOf(answer, location);
		await finish(parts, endpoint, repository, location, await digest(), options);
	} catch (error) {
		await cancel(parts.send, endpoint, repository, location, options);
		throw error;
	}
}

async function finish(
	parts: Parts,
	endpoint: Endpoint,
	repository: Reference,
	location: URL,
	digest: string,
	options: RegistryOptions,
): Promise<void> {
	const url = new URL(location);
	url.searchParams.set("digest", digest);
	const call = {
		method: "PUT",
		path: url,
		scopes: [pushScope(repository)],
		body: new Uint8Array(),
		// some registries copy or hash gigabytes before they answer
		slow: true,
		accept: [201, 204],
	};
	try {
		await settled(parts, endpoint, call, options);
	} catch (error) {
		// an answer that got lost: the upload is gone, and the blob is there
		const lost = error instanceof RegistryFailure && (error.transient || error.status === 404);
		if (!lost || !(await headBlob(parts, endpoint, repository, digest, options))) throw error;
	}
}

/** Puts the manifest; returns the digest under which the registry says it keeps it. */
export async function putManifest(
	parts: Parts,
	endpoint: Endpoint,
	reference: Reference,
	manifest: { mediaType: string; bytes: Uint8Array },
	options: RegistryOptions,
): Promise<string> {
	const path = `${reference.path}/manifests/${reference.tag ?? reference.digest ?? "latest"}`;
	const headers = { "Content-Type": manifest.mediaType };
	const call = {
		method: "PUT",
		path,
		scopes: [pushScope(reference)],
		headers,
		body: manifest.bytes,
		accept: [200, 201, 202],
	};
	const { response } = await settled(parts, endpoint, call, options);
	const digest = response.headers.get("docker-content-digest") ?? "";
	return isDigest(digest) ? digest : digestOf(manifest.bytes);
}

/** Best effort: a registry sweeps uploads that nobody ends, too. */
async function cancel(
	send: Send,
	endpoint: Endpoint,
	repository: Reference,
	location: URL,
	{ credentials }: RegistryOptions,
): Promise<void> {
	const signal = AbortSignal.timeout(5000);
	const call = { method: "DELETE", path: location, scopes: [pushScope(repository)], accept: [200, 202, 204, 404] };
	const answer = await send(endpoint, { ...call, credentials, signal }).catch(() => undefined);
	answer?.watchdog.end();
}

/** Where the upload goes on: relative or whole. */
function locationOf({ response, url }: Answer, otherwise?: URL): URL {
	const location = response.headers.get("location");
	const target = location !== null && URL.canParse(location, url.href) ? new URL(location, url) : otherwise;
	if (target?.protocol === "https:" || target?.protocol === "http:") return target;
	throw new RegistryFailure(`the registry opened an upload without a usable Location: ${JSON.stringify(location)}`);
}
