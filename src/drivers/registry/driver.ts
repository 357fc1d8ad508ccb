import type { Descriptor } from "../../oci/manifest.ts";
import type { Reference } from "../../oci/reference.ts";

/** What `X-Registry-Auth` and `POST /auth` carry: a name and password, or an identity token. Never logged, never stored. */
export interface Credentials {
	readonly username?: string;
	readonly password?: string;
	readonly identityToken?: string;
	readonly registryToken?: string;
	readonly serverAddress?: string;
}

export interface RegistryOptions {
	readonly credentials?: Credentials;
	readonly signal?: AbortSignal;
}

/** A manifest or index exactly as the registry sent it; its digest has been checked. */
export interface FetchedManifest {
	readonly mediaType: string;
	readonly digest: string;
	readonly bytes: Uint8Array;
}

/**
 * A client of OCI distribution v1.1 and Docker v2 registries. Every call takes mirrors, TLS settings, tokens, redirects and retries with
 * back-off on itself. Errors are EngineErrors with docker's texts: "not-found" `manifest for X:Y not found: manifest unknown: ...`,
 * "not-found" `pull access denied for X, repository does not exist or may require 'docker login': ...`, "unauthorized", "cancelled" by the
 * signal, "too-many-requests" when a registry's limit outlasts the retries; "unavailable" for a push that may be begun anew; "internal" (dockerd answers 500) for no connection, what a registry gets wrong, and credentials that are missing.
 */
export interface Registry {
	/** The manifest or index that a tag or digest names. Bounded at 4 MiB. */
	manifest(reference: Reference, options: RegistryOptions): Promise<FetchedManifest>;
	/** All tags of the repository, in the registry's order (`tags/list`, page by page): for `docker pull --all-tags`. */
	tags(repository: Reference, options: RegistryOptions): Promise<string[]>;
	/** Its descriptor alone (HEAD). */
	describe(reference: Reference, options: RegistryOptions): Promise<Descriptor>;
	/**
	 * The blob's bytes as they lie in the registry. A connection that breaks or stalls is resumed by range where it stopped.
	 * Throws when the registry sends more or fewer bytes than `size`; the digest is the reader's to check, in its own pass.
	 */
	blob(
		repository: Reference,
		blob: Pick<Descriptor, "digest" | "size">,
		options: RegistryOptions,
	): AsyncIterable<Uint8Array>;
	hasBlob(repository: Reference, digest: string, options: RegistryOptions): Promise<boolean>;
	/** Mounts the blob from another repository of the same registry; false where the registry does not do it. */
	mountBlob(repository: Reference, digest: string, from: string, options: RegistryOptions): Promise<boolean>;
	/** Uploads in one pass; `digest` is asked for when the body has ended, so that it can be computed on the way. */
	pushBlob(
		repository: Reference,
		body: AsyncIterable<Uint8Array>,
		digest: () => Promise<string>,
		options: RegistryOptions,
	): Promise<void>;
	/** Puts a manifest under the reference's tag (or digest); returns the digest the registry keeps it under. */
	pushManifest(
		reference: Reference,
		manifest: { mediaType: string; bytes: Uint8Array },
		options: RegistryOptions,
	): Promise<string>;
	/** `docker login`: tries the credentials; returns an identity token where the registry hands one out. */
	login(credentials: Credentials, signal?: AbortSignal): Promise<{ status: string; identityToken: string }>;
	/** `docker search` over the registry's v1 search route. "not-found" with a clear text where it has none. */
	search(
		term: string,
		limit: number,
		options: RegistryOptions,
	): Promise<{ name: string; description: string; starCount: number; isOfficial: boolean; isAutomated: boolean }[]>;
	/** Whether names of this host may be reached without TLS or with any certificate. */
	isInsecure(domain: string): boolean;
}

/** Settings of the registry driver. */
export interface RegistrySettings {
	/** `host[:port]` or CIDR; loopback is always insecure, as with docker. */
	readonly insecure: readonly string[];
	/** Base URLs tried before docker.io. */
	readonly mirrors: readonly string[];
	/** Directory with `HOST:PORT/{*.crt,*.cert,*.key}`, as docker's certs.d. */
	readonly certificates: string;
	readonly userAgent: string;
}
