import type { Reference } from "../../oci/reference.ts";
import { readBlob } from "./blobs.ts";
import { createSend, type Send } from "./calls.ts";
import type { Registry, RegistryOptions, RegistrySettings } from "./driver.ts";
import { createEndpoints, type Endpoint, type Endpoints } from "./endpoints.ts";
import { login } from "./login.ts";
import { describeManifest, fetchManifest } from "./manifests.ts";
import { search } from "./search.ts";
import { listTags } from "./tags.ts";
import { ATTEMPTS, realTiming, type Timing, withRetries } from "./timing.ts";
import { createTokens, type Tokens } from "./tokens.ts";
import { createTransport, type Transport } from "./transport.ts";
import { createInsecureHosts } from "./trust.ts";
import { headBlob, mount, putManifest, uploadBlob } from "./uploads.ts";
import { plainError, pullError, pushError } from "./words.ts";

interface Parts {
	readonly transport: Transport;
	readonly tokens: Tokens;
	readonly endpoints: Endpoints;
	readonly send: Send;
	readonly timing: Timing;
}

type OnEndpoint<T> = (endpoint: Endpoint) => Promise<T>;

/** The registry client. Throws "invalid" for a bad mirror or insecure network. `timing` is for tests. */
export function createRegistry(settings: RegistrySettings, timing: Timing = realTiming): Registry {
	const insecure = createInsecureHosts(settings.insecure);
	const transport = createTransport({ ...settings, insecure, timing });
	const tokens = createTokens(transport, timing);
	const endpoints = createEndpoints(transport, settings.mirrors, timing);
	const send = createSend(transport, tokens, timing);
	const parts = { send, endpoints, timing, tokens, transport };
	return {
		...createPulls(parts),
		...createPushes(parts),
		login: (credentials, signal) => told(login(parts, credentials, signal), (error) => plainError(error, signal)),
		search: (term, limit, options) =>
			told(search(parts, term, limit, options), (error) => plainError(error, options.signal)),
		isInsecure: (domain) => insecure.isInsecure(domain),
	};
}

function createPulls(parts: Parts): Pick<Registry, "manifest" | "tags" | "describe" | "blob"> {
	const { send, endpoints, timing } = parts;
	const onEndpoints = <T>({ domain }: Reference, { signal }: RegistryOptions, work: OnEndpoint<T>): Promise<T> =>
		endpoints.onEach(domain, "pull", signal, (endpoint) =>
			// a mirror gets one try: the next endpoint is the retry
			withRetries(timing, signal, () => work(endpoint), endpoint.mirror ? 1 : ATTEMPTS),
		);
	const pulling = <T>(reference: Reference, options: RegistryOptions, work: OnEndpoint<T>): Promise<T> =>
		told(onEndpoints(reference, options, work), (error) => pullError(error, reference, options.signal));
	return {
		manifest: (reference, options) =>
			pulling(reference, options, (endpoint) => fetchManifest(send, endpoint, reference, options)),
		tags: (repository, options) =>
			pulling(repository, options, (endpoint) => listTags(send, endpoint, repository, options)),
		describe(reference, options) {
			const work = (endpoint: Endpoint) => describeManifest(send, endpoint, reference, options);
			// dockerd's /distribution shows the registry's own words, without the name
			return told(onEndpoints(reference, options, work), (error) => plainError(error, options.signal));
		},
		async *blob(repository, blob, options) {
			try {
				yield* readBlob(parts, repository, blob, options);
			} catch (error) {
				throw pullError(error, repository, options.signal);
			}
		},
	};
}

function createPushes(parts: Parts): Pick<Registry, "hasBlob" | "mountBlob" | "pushBlob" | "pushManifest"> {
	const pushing = <T>({ domain }: Reference, { signal }: RegistryOptions, work: OnEndpoint<T>): Promise<T> =>
		told(parts.endpoints.onEach(domain, "push", signal, work), (error) => pushError(error, signal));
	return {
		hasBlob: (repository, digest, options) =>
			pushing(repository, options, (endpoint) => headBlob(parts, endpoint, repository, digest, options)),
		mountBlob: (repository, digest, from, options) =>
			pushing(repository, options, (endpoint) => mount(parts, endpoint, repository, digest, from, options)),
		pushBlob: (repository, body, digest, options) =>
			pushing(repository, options, (endpoint) => uploadBlob(parts, endpoint, repository, body, digest, options)),
		pushManifest: (reference, manifest, options) =>
			pushing(reference, options, (endpoint) => putManifest(parts, endpoint, reference, manifest, options)),
	};
}

/** The work, its failure put into the words of what was asked for. */
async function told<T>(work: Promise<T>, words: (error: unknown) => unknown): Promise<T> {
	try {
		return await work;
	} catch (error) {
		throw words(error);
	}
}
