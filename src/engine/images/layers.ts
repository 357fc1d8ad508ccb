import type { BlobStore } from "../../drivers/content/driver.ts";
import type { IngestRequest, Snapshotter } from "../../drivers/snapshotter/driver.ts";
import type { DistributionStore } from "../../store/distribution.ts";

/** How long the layers of an interrupted pull wait for the next one, in ms. */
export const LEASE_MS = 24 * 60 * 60 * 1000;

export interface LayerParts {
	readonly snapshotter: Snapshotter;
	readonly store: DistributionStore;
	/** chainIDs that images and containers stand on. */
	readonly needed: () => Iterable<string>;
	readonly blobs: Pick<BlobStore, "list" | "size" | "remove">;
	/** Digests of blobs that kept indexes consist of. */
	readonly neededBlobs: () => Iterable<string>;
	readonly now?: () => number;
}

/**
 * Which layers may go. A layer stays while an image, a container, work under way (hold) or a lease needs it: a hold lives in memory, a lease
 * in the database.
 */
export class Layers {
	private readonly held = new Map<string, number>();
	private ingesting = 0;
	/** Leases of pulls under way: by lease, how many. */
	private readonly pulling = new Map<string, number>();

	constructor(private readonly parts: LayerParts) {}

	/** Keeps these layers until disposed of, which also deletes those of them that nothing needs then. */
	hold(chain: readonly string[]): AsyncDisposable {
		for (const chainId of chain) count(this.held, chainId, 1);
		return {
			[Symbol.asyncDispose]: async () => {
				for (const chainId of chain) count(this.held, chainId, -1);
				await this.release(chain);
			},
		};
	}

	/** Keeps the layers of an image that is being pulled, also across a crash. Disposed of without `done` they wait for the next pull. */
	lease(imageId: string, chain: readonly string[]): AsyncDisposable & { done(): void } {
		this.parts.store.lease(imageId, chain, this.now() + LEASE_MS);
		count(this.pulling, imageId, 1);
		const hold = this.hold(chain);
		return {
			done: () => this.parts.store.endLease(imageId),
			[Symbol.asyncDispose]: async () => {
				count(this.pulling, imageId, -1);
				await hold[Symbol.asyncDispose]();
			},
		};
	}

	/** Takes in a layer whose name nobody knows yet, and holds it until disposed of. */
	async ingest(request: IngestRequest): Promise<AsyncDisposable & { readonly diffId: string }> {
		this.ingesting++;
		try {
			const { chainId, diffId } = await this.parts.snapshotter.ingest(request);
			return { ...this.hold([chainId]), diffId };
		} finally {
			this.ingesting--;
		}
	}

	/** Keeps these blobs in memory only: for as long as they are read. */
	holdBlobs(digests: readonly string[]): Disposable {
		for (const digest of digests) count(this.held, digest, 1);
		return {
			[Symbol.dispose]: () => {
				for (const digest of digests) count(this.held, digest, -1);
				this.releaseBlobs();
			},
		};
	}

	/** Keeps blobs on their way here, also across a crash. Without `done` they wait for the next pull. */
	leaseBlobs(index: string, digests: readonly string[]): Disposable & { done(): void } {
		this.parts.store.lease(index, digests, this.now() + LEASE_MS);
		count(this.pulling, index, 1);
		return {
			done: () => this.parts.store.endLease(index),
			[Symbol.dispose]: () => {
				count(this.pulling, index, -1);
				this.releaseBlobs();
			},
		};
	}

	/** Deletes the blobs that no kept index and no pull needs any more. */
	releaseBlobs(): void {
		const all = this.parts.blobs.list();
		if (all.length === 0) return;
		const needed = new Set([...this.parts.neededBlobs(), ...this.held.keys(), ...this.parts.store.leased(this.now())]);
		for (const digest of all) if (!needed.has(digest)) this.parts.blobs.remove(digest);
	}

	/** Ends the leases of pulls that were interrupted: for a prune. */
	dropIdleLeases(): void {
		for (const lease of this.parts.store.leases()) if (!this.pulling.has(lease)) this.parts.store.endLease(lease);
	}

	/** Deletes what nothing needs, of all layers; nothing while a layer comes in that nobody could hold yet. */
	async sweep(): Promise<string[]> {
		this.releaseBlobs();
		if (this.ingesting > 0) return [];
		return await this.release(this.parts.snapshotter.layers());
	}

	/** Deletes those of `candidates` (base first) that nothing needs; returns them, topmost first. */
	async release(candidates: readonly string[]): Promise<string[]> {
		const needed = new Set([...this.parts.needed(), ...this.held.keys(), ...this.parts.store.leased(this.now())]);
		const gone = [...new Set(candidates)]
			.reverse()
			.filter((chainId) => !needed.has(chainId) && this.parts.snapshotter.has(chainId));
		for (const chainId of gone) await this.parts.snapshotter.removeLayer(chainId);
		return gone;
	}

	/** Bytes of all layers and kept blobs, each counted once. */
	totalSize(): number {
		const { snapshotter, blobs } = this.parts;
		const unpacked = snapshotter.layers().reduce((sum, chainId) => sum + snapshotter.size(chainId), 0);
		return blobs.list().reduce((sum, digest) => sum + blobs.size(digest), unpacked);
	}

	private now(): number {
		return this.parts.now?.() ?? Date.now();
	}
}

function count(counts: Map<string, number>, key: string, by: number): void {
	const next = (counts.get(key) ?? 0) + by;
	if (next === 0) counts.delete(key);
	else counts.set(key, next);
}
