import { gzipSync } from "node:zlib";
import type { Archive, BlobStore, Content } from "../../../drivers/content/driver.ts";
import type { ExtractRequest, IngestRequest, LayerSource, Snapshotter } from "../../../drivers/snapshotter/driver.ts";
import { chainIds, digestOf } from "../../../oci/digest.ts";
import { EngineError } from "../../../shared/errors.ts";
import { BuildStore, buildSchema } from "../../../store/build.ts";
import { openDatabase } from "../../../store/database.ts";
import { DistributionStore, distributionSchema } from "../../../store/distribution.ts";
import { ImageStore, imagesSchema } from "../../../store/images.ts";
import { KeptIndexStore, keptIndexesSchema } from "../../../store/kept-indexes.ts";
import type { ImagesParts } from "../context.ts";
import { createImages } from "../service.ts";
import { FakeRegistry } from "./fake-registry.ts";

/** Layers as byte strings in memory: what goes in comes out. */
export class FakeSnapshotter implements Snapshotter {
	readonly committed = new Map<string, Uint8Array>();
	/** chainIDs in the order in which extracts began. */
	readonly extracted: string[] = [];
	has = (chainId: string) => this.committed.has(chainId);
	size = (chainId: string) => this.bytesOf(chainId).length;
	tarSize = (chainId: string) => this.bytesOf(chainId).length;
	layers = () => [...this.committed.keys()];

	async extract(request: ExtractRequest): Promise<{ size: number }> {
		this.extracted.push(request.chainId);
		const bytes = await readSource(request.source, request.onProgress);
		if (digestOf(bytes) !== request.diffId)
			throw new EngineError("invalid", `layer has diffID ${digestOf(bytes)}, expected ${request.diffId}`);
		this.committed.set(request.chainId, bytes);
		return { size: bytes.length };
	}

	async stage(source: LayerSource) {
		const bytes = await readSource(source);
		return {
			diffId: digestOf(bytes),
			adopt: async (chainId: string) => void this.committed.set(chainId, bytes),
			async [Symbol.asyncDispose]() {},
		};
	}

	find = (diffId: string) => [...this.committed].find(([, bytes]) => digestOf(bytes) === diffId)?.[0];

	async measure(source: LayerSource) {
		if (!("body" in source)) throw new Error("not part of the test");
		const bytes = Buffer.concat(await Array.fromAsync(source.body));
		return { digest: digestOf(bytes), size: bytes.length };
	}

	async ingest({ parentChainId, source }: IngestRequest) {
		const bytes = await readSource(source);
		const diffId = digestOf(bytes);
		const chainId = parentChainId === undefined ? diffId : digestOf(`${parentChainId} ${diffId}`);
		this.committed.set(chainId, bytes);
		return { chainId, diffId, size: bytes.length };
	}

	assemble(chainId: string, compression: "none" | "gzip") {
		const bytes = compression === "gzip" ? gzipSync(this.bytesOf(chainId)) : this.bytesOf(chainId);
		return {
			body: chunks(bytes),
			summary: async () => ({ digest: digestOf(bytes), size: bytes.length }),
		};
	}

	async removeLayer(chainId: string) {
		this.committed.delete(chainId);
	}

	async verify(chainId: string) {
		this.bytesOf(chainId);
	}

	async prepare() {}
	mount = () => "/";
	rootOf = () => "/";
	unmount() {}
	async remove() {}
	active = () => [];
	usage = async () => 0;
	changes = async () => [];
	archiveChanges = () => chunks(new TextEncoder().encode("changes"));
	describe = () => ({ LowerDir: "/l", UpperDir: "/u", WorkDir: "/w", MergedDir: "/m" });
	layerPath = () => "/l";
	archiveRoot = () => chunks(new TextEncoder().encode("root"));
	archiveCopy = () => chunks(new TextEncoder().encode("copy"));

	private bytesOf(chainId: string): Uint8Array {
		const bytes = this.committed.get(chainId);
		if (!bytes) throw new EngineError("internal", `layer ${chainId} is missing`);
		return bytes;
	}
}

async function* chunks(bytes: Uint8Array, size = 4): AsyncIterable<Uint8Array> {
	for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function readSource(source: LayerSource, onProgress?: (bytes: number) => void): Promise<Uint8Array> {
	if (!("body" in source)) return inflated(Buffer.from(source.path.slice("data:;base64,".length), "base64"));
	const parts: Uint8Array[] = [];
	let size = 0;
	for await (const part of source.body) {
		parts.push(part);
		size += part.length;
		onProgress?.(size);
	}
	const bytes = Buffer.concat(parts);
	if (source.digest !== undefined && digestOf(bytes) !== source.digest)
		throw new EngineError("invalid", `blob has digest ${digestOf(bytes)}, expected ${source.digest}`);
	return inflated(bytes);
}

function inflated(bytes: Uint8Array<ArrayBuffer>): Uint8Array {
	return bytes[0] === 0x1f && bytes[1] === 0x8b ? Bun.gunzipSync(bytes) : bytes;
}

/** An archive that is a table of its files. */
export function fakeContent(files: Record<string, string | Uint8Array> = {}): Content {
	const bytesOf = (name: string) => {
		const content = files[name];
		if (content === undefined) throw new EngineError("invalid", `invalid archive: ${name} is missing`);
		return typeof content === "string" ? new TextEncoder().encode(content) : content;
	};
	const archive: Archive<never> = {
		file: (name: string) => {
			if (!(name in files)) return undefined;
			const bytes = bytesOf(name);
			return { path: `data:;base64,${Buffer.from(bytes).toString("base64")}`, size: bytes.length };
		},
		read: async (name: string) => bytesOf(name),
		layer: () => undefined,
		async [Symbol.asyncDispose]() {},
	};
	return {
		spoolArchive: async () => archive,
	};
}

/** Blobs in memory. */
export function fakeBlobs(stored = new Map<string, Uint8Array>()): BlobStore & { readonly stored: typeof stored } {
	const get = (digest: string) => {
		const bytes = stored.get(digest);
		if (!bytes) throw new EngineError("internal", `blob ${digest} is missing`);
		return bytes;
	};
	return {
		stored,
		has: (digest) => stored.has(digest),
		list: () => [...stored.keys()],
		size: (digest) => get(digest).length,
		async put(digest, size, body) {
			const bytes = Buffer.concat(await Array.fromAsync(body));
			if (digestOf(bytes) !== digest || bytes.length !== size)
				throw new EngineError("invalid", `the blob has digest ${digestOf(bytes)}, expected ${digest}`);
			stored.set(digest, bytes);
		},
		async take(digest, _size, path) {
			stored.set(digest, Buffer.from(path.slice("data:;base64,".length), "base64"));
		},
		read: (digest) => chunks(get(digest)),
		document: get,
		async verify(digest) {
			if (digestOf(get(digest)) !== digest) throw new EngineError("internal", `blob ${digest} is not as it was stored`);
		},
		remove: (digest) => void stored.delete(digest),
	};
}

/** The images noun over fakes. `put` stores an image of these layers and returns its id. */
export function createTestImages(parts: Partial<ImagesParts> = {}) {
	const database = openDatabase(":memory:", imagesSchema, distributionSchema, buildSchema, keptIndexesSchema);
	const snapshotter = new FakeSnapshotter();
	const store = new ImageStore(database);
	const distribution = new DistributionStore(database);
	const events: { action: string; id: string; attributes: Record<string, string> }[] = [];
	const all: ImagesParts = {
		store,
		distribution,
		builds: new BuildStore(database),
		snapshotter,
		content: fakeContent(),
		blobs: fakeBlobs(),
		kept: new KeptIndexStore(database),
		registry: new FakeRegistry(),
		download: (url) => chunks(new TextEncoder().encode(url)),
		events: { publish: (_type, action, id, attributes) => void events.push({ action, id, attributes }) },
		users: () => [],
		chainsInUse: () => [],
		...parts,
	};
	const put = (layers: readonly string[], names: readonly string[], more: Record<string, unknown> = {}) => {
		const bytes = layers.map((layer) => new TextEncoder().encode(layer));
		const diffIds = bytes.map(digestOf);
		for (const [i, chainId] of chainIds(diffIds).entries())
			snapshotter.committed.set(chainId, bytes[i] ?? new Uint8Array());
		const config = JSON.stringify({
			architecture: "amd64",
			os: "linux",
			created: "2026-01-02T00:00:00Z",
			...more,
			rootfs: { type: "layers", diff_ids: diffIds },
		});
		const size = layers.join("").length;
		store.save({ id: digestOf(config), config, size }, names, "2026-01-01T00:00:00Z");
		return digestOf(config);
	};
	return { open: () => createImages(all), parts: all, put, snapshotter, store, distribution, events };
}
