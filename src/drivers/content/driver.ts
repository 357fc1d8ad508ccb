/** Takes archives from the wire to disk, so that they need no memory. */
export interface Content {
	/**
	 * Spools a tar (plain, gzip or zstd) and indexes its entries. Throws "invalid" for a damaged one, and keeps nothing then.
	 * Files that look like a layer's tar, by their size and first bytes, are not spooled when `takeLayer` is given: it gets their bytes as they come and their cleaned name
	 * (and should read on while it works: the next file waits for the last byte). The caller disposes of the result, which disposes of the layers.
	 */
	spoolArchive<Layer extends AsyncDisposable>(
		body: AsyncIterable<Uint8Array>,
		takeLayer?: (bytes: AsyncIterable<Uint8Array>, name: string) => Promise<Layer>,
	): Promise<Archive<Layer>>;
}

/** The files of a spooled tar by cleaned name; links inside are followed. */
export interface Archive<Layer = unknown> extends AsyncDisposable {
	/** Where the file's bytes lie; undefined when the archive has no such file, or its layer was taken. */
	file(name: string): { readonly path: string; readonly size: number } | undefined;
	/** A small file's bytes. Throws "invalid" when it is missing or larger than 8 MiB. */
	read(name: string): Promise<Uint8Array>;
	/** What `takeLayer` made of the file: rejects when that failed. Undefined when the file was spooled, or is not there. */
	layer(name: string): { readonly taken: Promise<Layer>; readonly size: number } | undefined;
}

/** Blobs as registries have them, by digest: what must come out again byte for byte. */
export interface BlobStore {
	has(digest: string): boolean;
	list(): string[];
	/** Bytes. Throws "internal" when it is not there. */
	size(digest: string): number;
	/** Stores what `body` gives, when that has this digest and size: "invalid" otherwise, and nothing is kept. */
	put(digest: string, size: number, body: AsyncIterable<Uint8Array>): Promise<void>;
	/** The same from a file of this machine, which it takes away. */
	take(digest: string, size: number, path: string): Promise<void>;
	read(digest: string): AsyncIterable<Uint8Array>;
	/** A small one at once: a manifest or a configuration. Throws "internal" when it is missing, "invalid" above 8 MiB. */
	document(digest: string): Uint8Array;
	/** Reads it again; throws "internal" when it was damaged. */
	verify(digest: string): Promise<void>;
	remove(digest: string): void;
}
