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
	/** The same for a layer whose diffID nobody knows yet (import, commit): computes it. */
	ingest(request: IngestRequest): Promise<{ chainId: string; diffId: string; size: number }>;
	/** Unpacks a layer that has no name yet, for archives whose layers come before what names them. The caller disposes of it. */
	stage(source: LayerSource): Promise<StagedLayer>;
	/** A committed layer whose tar has this digest, by its chainID; undefined: none can be put together. */
	find(diffId: string): string | undefined;
	/** Reads a source to its end and tells what it was, unpacking nothing. Off the event loop. */
	measure(source: LayerSource): Promise<{ digest: string; size: number }>;
	/**
	 * The layer's tar, byte for byte as it was unpacked (sha256 = its diffID), put together again from the unpacked files; gzip on request.
	 * Off the event loop. Throws "internal" while reading when files of the layer were damaged.
	 */
	assemble(chainId: string, compression: "none" | "gzip"): AssembledLayer;
	/** Bytes of the layer's uncompressed tar. */
	tarSize(chainId: string): number;
	/** Re-hashes the unpacked layer against its diffID; throws "internal" naming what differs. */
	verify(chainId: string): Promise<void>;
	/** Bytes of the unpacked layer, as docker counts sizes. */
	size(chainId: string): number;
	/** Deletes a committed layer no chain needs any more. */
	removeLayer(chainId: string): Promise<void>;
	layers(): string[];
	/**
	 * Makes the active snapshot `id` over the chain (base first; empty for a scratch image). `bare`: nothing but these layers, without what
	 * containers find besides (`.dockerenv`, mount points).
	 */
	prepare(id: string, chainIds: readonly string[], options?: { readonly bare?: boolean }): Promise<void>;
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
	/** What the container changed, as `docker diff` shows it, sorted by path. */
	changes(id: string): Promise<{ path: string; kind: "modified" | "added" | "deleted" }[]>;
	/** The writable layer as a layer's tar (whiteouts, opaque directories, xattrs): for commit. */
	archiveChanges(id: string): AsyncIterable<Uint8Array>;
	/** What a copy into a mounted root would add to it, as a layer's tar; the root stays as it is. Throws while reading. Off the event loop. */
	archiveCopy(copy: LayerCopy): AsyncIterable<Uint8Array>;
	/** The merged root as a tar: for export. */
	archiveRoot(id: string): AsyncIterable<Uint8Array>;
	/** Where the active snapshot `id` lies, in the words of docker's `GraphDriver.Data`: absolute paths, LowerDir joined by ":", topmost first. */
	describe(id: string): SnapshotPaths;
	/** The directory of a committed layer, absolute. */
	layerPath(chainId: string): string;
}

/** A directory's content, or one file, on its way from one tree into another. */
export interface LayerCopy {
	/** The tree that is copied from, and what of it. */
	readonly root: string;
	readonly path: string;
	/** The tree that is copied to, and where in it: absolute, a slash at the end makes it a directory. */
	readonly to: string;
	readonly destination: string;
	/** Whose it shall be; undefined: as it was. */
	readonly owner?: { readonly uid: number; readonly gid: number };
	/** As chmod(1) takes it. */
	readonly chmod?: string;
	/** Set-id bits and capabilities stay with a new owner. */
	readonly keepRights?: boolean;
}

/** Docker's names of overlay2's directories. */
export interface SnapshotPaths {
	readonly LowerDir: string;
	readonly UpperDir: string;
	readonly WorkDir: string;
	readonly MergedDir: string;
}

/** An unpacked layer that waits for its name. Disposal deletes it unless it was adopted. */
export interface StagedLayer extends AsyncDisposable {
	readonly diffId: string;
	/** Commits it under this chainID; a layer that is there already stays, and is as good. Once only. */
	adopt(chainId: string): Promise<void>;
}

/** Bytes on the way out; abandoning the iteration ends the work behind it. */
export interface AssembledLayer {
	readonly body: AsyncIterable<Uint8Array>;
	/** Digest and size of the bytes that `body` gave, once it has ended. */
	summary(): Promise<{ digest: string; size: number }>;
}

/** Where a layer's tar comes from: plain, gzip or zstd, told apart by its magic. */
export type LayerSource =
	/** `offset` and `length` in bytes let it lie inside a bigger file. */
	| { readonly path: string; readonly offset?: number; readonly length?: number }
	/** Bytes as they arrive; their sha256 and length are checked in the same pass when given. Only as much is read ahead as a small window holds. */
	| { readonly body: AsyncIterable<Uint8Array>; readonly digest?: string; readonly size?: number };

export interface ExtractRequest {
	readonly chainId: string;
	readonly parentChainId?: string;
	readonly diffId: string;
	readonly source: LayerSource;
	/** Called with the compressed bytes unpacked so far. */
	readonly onProgress?: (bytes: number) => void;
}

export interface IngestRequest {
	readonly parentChainId?: string;
	readonly source: LayerSource;
}
