import { digestOf, isDigest } from "../../oci/digest.ts";
import type { Descriptor } from "../../oci/manifest.ts";
import { familiarString, type Reference } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import type { Send } from "./calls.ts";
import type { FetchedManifest, RegistryOptions } from "./driver.ts";
import type { Endpoint } from "./endpoints.ts";
import { RegistryFailure } from "./failure.ts";
import { pullScope } from "./scopes.ts";
import type { Answer } from "./transport.ts";

/** As dockerd. */
const MANIFEST_LIMIT = 4 * 1024 * 1024;

const INDEX_TYPES = [
	"application/vnd.oci.image.index.v1+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
];
const MANIFEST_TYPES = [
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v2+json",
];
const SCHEMA1_TYPES = [
	"application/vnd.docker.distribution.manifest.v1+prettyjws",
	"application/vnd.docker.distribution.manifest.v1+json",
];
/** What servers say that know nothing of manifests; then the body's own mediaType counts. */
const VAGUE_TYPES = ["", "application/json", "application/octet-stream", "text/plain"];
/** Schema 1 stands in the list so that it is recognised and refused by name. */
const ACCEPT = [...MANIFEST_TYPES, ...INDEX_TYPES, ...SCHEMA1_TYPES, "application/json;q=0.1"].join(", ");

/** Fetches and checks a manifest: size, digest, media type. Throws RegistryFailure, and "internal" for an answer that lies. */
export async function fetchManifest(
	send: Send,
	endpoint: Endpoint,
	reference: Reference,
	options: RegistryOptions,
): Promise<FetchedManifest> {
	const answer = await request(send, endpoint, "GET", reference, options);
	const bytes = await wholeBody(answer, reference);
	return checkedManifest(bytes, answer.response.headers, reference);
}

/** The descriptor from a HEAD; registries that leave something out of it are asked for the manifest. */
export async function describeManifest(
	send: Send,
	endpoint: Endpoint,
	reference: Reference,
	options: RegistryOptions,
): Promise<Descriptor> {
	const { response, watchdog } = await request(send, endpoint, "HEAD", reference, options);
	watchdog.end();
	const digest = response.headers.get("docker-content-digest") ?? "";
	const size = Number(response.headers.get("content-length") ?? Number.NaN);
	const mediaType = typeOf(response.headers);
	const whole =
		response.status === 200 && isDigest(digest) && Number.isSafeInteger(size) && size > 0 && isKnown(mediaType);
	if (whole && (reference.digest === undefined || reference.digest === digest)) return { mediaType, digest, size };
	const manifest = await fetchManifest(send, endpoint, reference, options);
	return { mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.bytes.length };
}

async function request(
	send: Send,
	endpoint: Endpoint,
	method: string,
	reference: Reference,
	{ credentials, signal }: RegistryOptions,
): Promise<Answer> {
	return await send(endpoint, {
		method,
		path: `${reference.path}/manifests/${reference.digest ?? reference.tag ?? "latest"}`,
		// dockerd asks for a tag by HEAD first, so that is what its errors name
		shownMethod: reference.digest === undefined ? "HEAD" : method,
		scopes: [pullScope(reference)],
		headers: { Accept: ACCEPT },
		// a HEAD has no error text: the GET that follows gets it
		accept: method === "HEAD" ? [200, 400, 403, 404, 405, 429] : [200],
		credentials,
		signal,
	});
}

async function wholeBody({ response, watchdog }: Answer, reference: Reference): Promise<Uint8Array> {
	const parts: Uint8Array[] = [];
	let size = 0;
	try {
		for await (const chunk of response.body ?? []) {
			watchdog.touch();
			size += chunk.length;
			if (size > MANIFEST_LIMIT) throw lie(reference, `it is larger than ${MANIFEST_LIMIT} bytes`);
			parts.push(chunk);
		}
	} catch (cause) {
		if (cause instanceof EngineError) throw cause;
		throw new RegistryFailure(`cannot read manifest ${familiarString(reference)}: the connection broke`, {
			transient: true,
			cause,
		});
	} finally {
		watchdog.end();
	}
	return Buffer.concat(parts);
}

function checkedManifest(bytes: Uint8Array, headers: Headers, reference: Reference): FetchedManifest {
	const declared = typeOf(headers);
	if (declared === "text/html") throw lie(reference, "the registry answered a web page (text/html), not a manifest");
	const fields = fieldsOf(bytes, reference);
	// before the digest: that of schema 1 leaves the signatures out
	if (SCHEMA1_TYPES.includes(declared) || fields.schemaVersion === 1) throw schema1(reference);
	const digest = digestOf(bytes);
	if (reference.digest !== undefined && reference.digest !== digest) {
		throw new EngineError("internal", `manifest verification failed for digest ${reference.digest}`);
	}
	const promised = headers.get("docker-content-digest");
	if (promised?.startsWith("sha256:") && promised !== digest) {
		throw lie(reference, `the registry names it ${promised}, its content is ${digest}`);
	}
	return { mediaType: mediaTypeOf(fields, declared, reference), digest, bytes };
}

/** One media type that header and content agree on. Lies here have let one digest mean two images (CVE-2021-41190). */
function mediaTypeOf(fields: Record<string, unknown>, declared: string, reference: Reference): string {
	const own = fields.mediaType;
	if (own !== undefined && typeof own !== "string") throw lie(reference, "its mediaType is not a string");
	const vague = VAGUE_TYPES.includes(declared);
	if (own !== undefined && own !== declared && !vague) {
		throw lie(reference, `the registry says it is ${declared}, the manifest itself says ${own}`);
	}
	const isIndex = "manifests" in fields;
	if (isIndex && ("layers" in fields || "config" in fields)) throw lie(reference, "it is both an index and an image");
	const mediaType = own ?? (vague ? (isIndex ? INDEX_TYPES[0] : MANIFEST_TYPES[0]) : declared) ?? declared;
	if (!isKnown(mediaType)) throw lie(reference, `unsupported media type ${mediaType}`);
	if (INDEX_TYPES.includes(mediaType) !== isIndex) throw lie(reference, `its content is not what ${mediaType} holds`);
	return mediaType;
}

function fieldsOf(bytes: Uint8Array, reference: Reference): Record<string, unknown> {
	let value: unknown;
	try {
		value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
	} catch {
		throw lie(reference, "it is not JSON");
	}
	if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
	throw lie(reference, "it is not an object");
}

function typeOf(headers: Headers): string {
	return (headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}

function isKnown(mediaType: string): boolean {
	return MANIFEST_TYPES.includes(mediaType) || INDEX_TYPES.includes(mediaType);
}

function lie(reference: Reference, why: string): EngineError {
	return new EngineError("internal", `invalid manifest for ${familiarString(reference)}: ${why}`);
}

/** dockerd's text. */
function schema1(reference: Reference): EngineError {
	return new EngineError(
		"invalid",
		`Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. Suggest the author of ${familiarString(reference)} to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More information at https://docs.docker.com/go/deprecated-image-specs/`,
	);
}
