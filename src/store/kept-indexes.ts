import type { Database } from "bun:sqlite";

/**
 * kept_names: names whose image is one platform of an index that is here whole, with all of its platforms.
 * kept_blobs: what such an index consists of, itself first, then manifests, configurations and layers as the registry has them; their bytes lie
 * in the blob store. Rows of an index that has no name any more go with the next sweep.
 */
export const keptIndexesSchema = `
CREATE TABLE kept_names (
	reference TEXT PRIMARY KEY REFERENCES image_references (reference) ON DELETE CASCADE,
	index_digest TEXT NOT NULL
) STRICT;
CREATE TABLE kept_blobs (
	index_digest TEXT NOT NULL,
	digest TEXT NOT NULL,
	media_type TEXT NOT NULL,
	size INTEGER NOT NULL,        -- bytes
	repository TEXT NOT NULL,     -- where it came from: docker.io/library/busybox; empty for an archive
	PRIMARY KEY (index_digest, digest)
) STRICT;
`;

/** One part of a kept index. */
export interface KeptBlob {
	readonly digest: string;
	readonly mediaType: string;
	/** bytes */
	readonly size: number;
	/** `docker.io/library/busybox`; "" when it came in an archive. */
	readonly repository: string;
}

/** Which indexes are kept whole, under which names, and what they consist of. */
export class KeptIndexStore {
	constructor(private readonly database: Database) {}

	/** The index's digest under this name. */
	indexOf(reference: string): string | undefined {
		return this.database
			.query<{ index_digest: string }, [string]>("SELECT index_digest FROM kept_names WHERE reference = ?")
			.get(reference)?.index_digest;
	}

	/** Whether an index is kept under any name. */
	has(index: string): boolean {
		return this.database.query("SELECT 1 FROM kept_names WHERE index_digest = ? LIMIT 1").get(index) !== null;
	}

	/** The parts of an index, itself first. */
	blobs(index: string): KeptBlob[] {
		return this.database
			.query<KeptBlob, [string]>(
				"SELECT digest, media_type AS mediaType, size, repository FROM kept_blobs WHERE index_digest = ? ORDER BY rowid",
			)
			.all(index);
	}

	/** Known parts stay as they are. The index needs a name at once (`name`), or a sweep takes it. */
	save(index: string, blobs: readonly KeptBlob[]): void {
		this.database.transaction(() => {
			for (const { digest, mediaType, size, repository } of blobs) {
				this.database
					.query(
						"INSERT INTO kept_blobs (index_digest, digest, media_type, size, repository) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
					)
					.run(index, digest, mediaType, size, repository);
			}
		})();
	}

	/** These names, which must be stored as an image's, stand for this index from now on; undefined: for none. */
	name(references: readonly string[], index: string | undefined): void {
		this.database.transaction(() => {
			for (const reference of references) {
				if (index === undefined) this.database.query("DELETE FROM kept_names WHERE reference = ?").run(reference);
				else
					this.database
						.query("INSERT OR REPLACE INTO kept_names (reference, index_digest) VALUES (?, ?)")
						.run(reference, index);
			}
		})();
	}

	/** All parts of indexes that have a name; rows of others are deleted. */
	needed(): string[] {
		this.database.query("DELETE FROM kept_blobs WHERE index_digest NOT IN (SELECT index_digest FROM kept_names)").run();
		return this.database
			.query<{ digest: string }, []>("SELECT DISTINCT digest FROM kept_blobs")
			.all()
			.map((row) => row.digest);
	}

	/** Every kept index with its names. */
	indexes(): Map<string, string[]> {
		const found = new Map<string, string[]>();
		const rows = this.database
			.query<{ reference: string; index_digest: string }, []>(
				"SELECT reference, index_digest FROM kept_names ORDER BY reference",
			)
			.all();
		for (const row of rows) found.set(row.index_digest, [...(found.get(row.index_digest) ?? []), row.reference]);
		return found;
	}
}
