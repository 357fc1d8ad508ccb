/** Takes archives from the wire to disk, so that they need no memory. */
export interface Content {
	/**
	 * Spools a tar (plain, gzip or zstd) and indexes its entries. Throws "invalid" for a damaged one, and keeps nothing then.
	 * The caller disposes of the result.
	 */
	spoolArchive(body: AsyncIterable<Uint8Array>): Promise<Archive>;
	/** Spools bytes as they come (gzip and zstd are decompressed) and gives their sha256: for one layer's tar. */
	spoolLayer(body: AsyncIterable<Uint8Array>): Promise<SpooledLayer>;
}

export interface SpooledLayer extends AsyncDisposable {
	readonly path: string;
	/** sha256 of the uncompressed tar */
	readonly diffId: string;
}

/** The files of a spooled tar by cleaned name; links inside are followed. */
export interface Archive extends AsyncDisposable {
	/** Where the file's bytes lie; undefined when the archive has no such file. */
	file(name: string): { readonly path: string; readonly size: number } | undefined;
	/** A small file's bytes. Throws "invalid" when it is missing or larger than 8 MiB. */
	read(name: string): Promise<Uint8Array>;
}
