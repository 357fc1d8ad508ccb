import { gzipSync } from "node:zlib";
import type { FetchedManifest, Registry, RegistryOptions } from "../../../drivers/registry/driver.ts";
import { digestOf } from "../../../oci/digest.ts";
import type { Descriptor } from "../../../oci/manifest.ts";
import type { Reference } from "../../../oci/reference.ts";
import { EngineError } from "../../../shared/errors.ts";

export const MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json";
export const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";
export const CONFIG_TYPE = "application/vnd.docker.container.image.v1+json";
export const LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip";

type Call = [string, ...string[]];

/** One registry for all hosts, in memory. Repositories are `path`; what is asked of it is written down. */
export class FakeRegistry implements Registry {
	readonly blobs = new Map<string, Map<string, Uint8Array>>();
	readonly manifests = new Map<string, FetchedManifest>();
	readonly calls: Call[] = [];
	mounts = true;
	/** Awaited before each chunk of a blob. */
	pace: (digest: string, signal: AbortSignal | undefined) => Promise<void> = async () => {};

	async manifest(reference: Reference): Promise<FetchedManifest> {
		const found = this.manifests.get(`${reference.path}:${reference.digest ?? reference.tag}`);
		if (!found)
			throw new EngineError("not-found", `manifest for ${reference.path}:${reference.tag} not found: manifest unknown`);
		return found;
	}

	async tags({ path }: Reference): Promise<string[]> {
		const names = [...this.manifests.keys()].filter((name) => name.startsWith(`${path}:`));
		return names.map((name) => name.slice(path.length + 1)).filter((tag) => !tag.includes(":"));
	}

	async describe(reference: Reference): Promise<Descriptor> {
		const { mediaType, digest, bytes } = await this.manifest(reference);
		return { mediaType, digest, size: bytes.length };
	}

	async *blob({ path }: Reference, { digest }: Pick<Descriptor, "digest" | "size">, { signal }: RegistryOptions) {
		this.calls.push(["blob", path, digest]);
		const bytes = this.blobs.get(path)?.get(digest);
		if (!bytes) throw new EngineError("not-found", `blob ${digest} unknown`);
		for (let at = 0; at < bytes.length; at += 16) {
			await this.pace(digest, signal);
			if (signal?.aborted) throw new EngineError("cancelled", "context canceled");
			yield bytes.subarray(at, at + 16);
		}
	}

	async hasBlob({ path }: Reference, digest: string) {
		this.calls.push(["hasBlob", path, digest]);
		return this.blobs.get(path)?.has(digest) ?? false;
	}

	async mountBlob({ path }: Reference, digest: string, from: string) {
		this.calls.push(["mountBlob", path, digest, from]);
		const bytes = this.blobs.get(from)?.get(digest);
		if (!this.mounts || !bytes) return false;
		this.put(path, bytes);
		return true;
	}

	async pushBlob({ path }: Reference, body: AsyncIterable<Uint8Array>, digest: () => Promise<string>) {
		const bytes = Buffer.concat(await Array.fromAsync(body));
		const given = await digest();
		this.calls.push(["pushBlob", path, given]);
		if (digestOf(bytes) !== given) throw new EngineError("invalid", "digest invalid");
		this.put(path, bytes);
	}

	async pushManifest({ path, tag }: Reference, { mediaType, bytes }: { mediaType: string; bytes: Uint8Array }) {
		const digest = digestOf(bytes);
		for (const name of [tag, digest]) this.manifests.set(`${path}:${name}`, { mediaType, digest, bytes });
		return digest;
	}

	login = async () => ({ status: "Login Succeeded", identityToken: "" });
	search = async () => [];
	isInsecure = () => false;

	put(path: string, bytes: Uint8Array): string {
		const digest = digestOf(bytes);
		this.blobs.set(path, (this.blobs.get(path) ?? new Map()).set(digest, bytes));
		return digest;
	}

	/** Puts an image of these layers under the tag; returns its id and its manifest's digest. */
	async putImage(path: string, tag: string, layers: readonly string[], config: Record<string, unknown> = {}) {
		const blobs = layers.map((layer) => gzipSync(layer));
		const diffIds = layers.map((layer) => digestOf(layer));
		const rootfs = { type: "layers", diff_ids: diffIds };
		const configBytes = Buffer.from(JSON.stringify({ architecture: "amd64", os: "linux", ...config, rootfs }));
		const describe = (mediaType: string, bytes: Uint8Array) => ({
			mediaType,
			size: bytes.length,
			digest: this.put(path, bytes),
		});
		const bytes = Buffer.from(
			JSON.stringify({
				schemaVersion: 2,
				mediaType: MANIFEST_TYPE,
				config: describe(CONFIG_TYPE, configBytes),
				layers: blobs.map((blob) => describe(LAYER_TYPE, blob)),
			}),
		);
		const digest = await this.pushManifest({ domain: "", path, tag }, { mediaType: MANIFEST_TYPE, bytes });
		return { id: digestOf(configBytes), digest, size: bytes.length, blobs: blobs.map((blob) => digestOf(blob)) };
	}

	async putIndex(path: string, tag: string, manifests: readonly object[]) {
		const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: INDEX_TYPE, manifests }));
		return await this.pushManifest({ domain: "", path, tag }, { mediaType: INDEX_TYPE, bytes });
	}
}
