/**
 * Root filesystems from layers. A committed snapshot is one unpacked layer, named by its chainID and shared by all images that have it;
 * an active snapshot is the writable layer of one container on top of a chain.
 */
export interface Snapshotter {
	/** Whether the layer with this chainID is unpacked and whole. */
	has(chainId: string): boolean;
	/**
	 * Unpacks one layer tar (plain, gzip or zstd, told apart by its magic) below no other path than its own, checks its diffID while streaming,
	 * and commits it under `chainId`. A failure leaves nothing. Two calls for one chainID share the work. Off the event loop.
	 */
	extract(request: ExtractRequest): Promise<{ size: number }>;
	/** Bytes of the unpacked layer, as docker counts sizes. */
	size(chainId: string): number;
	/** Deletes a committed layer no chain needs any more. */
	removeLayer(chainId: string): Promise<void>;
	layers(): string[];
	/** Makes the active snapshot `id` over the chain (base first; empty for a scratch image). */
	prepare(id: string, chainIds: readonly string[]): Promise<void>;
	/** Mounts it and returns the root's path; mounted already is fine. Synchronous: a syscall of 0.3 ms. */
	mount(id: string): string;
	/** Path of the mounted root, mounted or not. */
	rootOf(id: string): string;
	unmount(id: string): void;
	/** Unmounts and deletes. Safe to repeat; returns once the snapshot is out of the way (bulk deletion may go on behind). */
	remove(id: string): Promise<void>;
	/** Ids of all active snapshots, for reconcile. */
	active(): string[];
	/** Bytes in the writable layer. */
	usage(id: string): Promise<number>;
}

export interface ExtractRequest {
	readonly chainId: string;
	readonly parentChainId?: string;
	readonly diffId: string;
	/** A file holding the layer's tar: `offset` and `length` in bytes let it lie inside a bigger archive. */
	readonly source: { readonly path: string; readonly offset?: number; readonly length?: number };
}
