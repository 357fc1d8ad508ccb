import type { Reference } from "../../oci/reference.ts";
import { readBlob } from "./blobs.ts";
import { createSend } from "./calls.ts";
import type { Registry, RegistryOptions, RegistrySettings } from "./driver.ts";
import { createEndpoints, type Endpoint } from "./endpoints.ts";
import { login } from "./login.ts";
import { describeManifest, fetchManifest } from "./manifests.ts";
import { search } from "./search.ts";
import { listTags } from "./tags.ts";
import { ATTEMPTS, realTiming, type Timing, withRetries } from "./timing.ts";
import { createTokens } from "./tokens.ts";
import { createTransport } from "./transport.ts";
import { createInsecureHosts } from "./trust.ts";
import { headBlob, mount, putManifest, uploadBlob } from "./uploads.ts";
import { plainError, pullError, pushError } from "./words.ts";

/** The registry client. Throws "invalid" for a bad mirror or insecure network. `timing` is for tests. */
export function createRegistry(settings: RegistrySettings, timing: Timing = realTiming): Registry {
	const insecure = createInsecureHosts(settings.insecure);
	const transport = createTransport({ ...settings, insecure, timing });
	const tokens = createTokens(transport, timing);
	const endpoints = createEndpoints(transport, settings.mirrors, timing);
	const send = createSend(transport, tokens, timing);
	const parts = { send, endpoints, timing, tokens, transport };

	const onPullEndpoints = <T>(
		{ domain }: Reference,
		{ signal }: RegistryOptions,
		work: (endpoint: Endpoint) => Promise<T>,
	): Promise<T> =>
		endpoints.onEach(domain, "pull", signal, (endpoint) =>
			// a mirror gets one try: the next endpoint is the retry
			withRetries(timing, signal, () => work(endpoint), endpoint.mirror ? 1 : ATTEMPTS),
		);
	const pulling = async <T>(
		reference: Reference,
		options: RegistryOptions,
		work: (endpoint: Endpoint) => Promise<T>,
	) => {
		try {
			return await onPullEndpoints(reference, options, work);
		} catch (error) {
			throw pullError(error, reference, options.signal);
		}
	};
	const pushing = async <T>(
		domain: string,
		signal: AbortSignal | undefined,
		work: (endpoint: Endpoint) => Promise<T>,
	) => {
		try {
			return await endpoints.onEach(domain, "push", signal, work);
		} catch (error) {
			throw pushError(error, signal);
		}
	};

	return {
		manifest: (reference, options) =>
			pulling(reference, options, (endpoint) => fetchManifest(send, endpoint, reference, options)),
		tags: (repository, options) =>
			pulling(repository, options, (endpoint) => listTags(send, endpoint, repository, options)),
		async describe(reference, options) {
			// dockerd's /distribution shows the registry's own words, without the name
			const work = (endpoint: Endpoint) => describeManifest(send, endpoint, reference, options);
			try {
				return await onPullEndpoints(reference, options, work);
			} catch (error) {
				throw plainError(error, options.signal);
			}
		},
		async *blob(repository, blob, options) {
			try {
				yield* readBlob(parts, repository, blob, options);
			} catch (error) {
				throw pullError(error, repository, options.signal);
			}
		},
		hasBlob: (repository, digest, options) =>
			pushing(repository.domain, options.signal, (endpoint) => headBlob(parts, endpoint, repository, digest, options)),
		mountBlob: (repository, digest, from, options) =>
			pushing(repository.domain, options.signal, (endpoint) =>
				mount(parts, endpoint, repository, digest, from, options),
			),
		pushBlob: (repository, body, digest, options) =>
			pushing(repository.domain, options.signal, (endpoint) =>
				uploadBlob(parts, endpoint, repository, body, digest, options),
			),
		pushManifest: (reference, manifest, options) =>
			pushing(reference.domain, options.signal, (endpoint) =>
				putManifest(parts, endpoint, reference, manifest, options),
			),
		async login(credentials, signal) {
			try {
				return await login(parts, credentials, signal);
			} catch (error) {
				throw plainError(error, signal);
			}
		},
		async search(term, limit, options) {
			try {
				return await search(parts, term, limit, options);
			} catch (error) {
				throw plainError(error, options.signal);
			}
		},
		isInsecure: (domain) => insecure.isInsecure(domain),
	};
}
