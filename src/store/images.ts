import type { Database } from "bun:sqlite";

export const imagesSchema = `
CREATE TABLE IF NOT EXISTS images (
	id TEXT PRIMARY KEY,          -- sha256 of config
	config TEXT NOT NULL,         -- the exact JSON
	size INTEGER NOT NULL,        -- bytes, unpacked
	last_tagged TEXT              -- RFC 3339
) STRICT;
CREATE TABLE IF NOT EXISTS image_references (
	reference TEXT PRIMARY KEY,   -- familiar: busybox:latest or busybox@sha256:...
	image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
) STRICT;
`;

export interface ImageRow {
	readonly id: string;
	readonly config: string;
	readonly size: number;
	readonly lastTagged: string | null;
	readonly references: readonly string[];
}

/** The stored images and the names that point at them. */
export class ImageStore {
	constructor(private readonly database: Database) {}

	list(): ImageRow[] {
		const names = new Map<string, string[]>();
		const rows = this.database
			.query<{ reference: string; image_id: string }, []>(
				"SELECT reference, image_id FROM image_references ORDER BY reference",
			)
			.all();
		for (const row of rows) names.set(row.image_id, [...(names.get(row.image_id) ?? []), row.reference]);
		return this.database
			.query<Omit<ImageRow, "references">, []>("SELECT id, config, size, last_tagged AS lastTagged FROM images")
			.all()
			.map((row) => ({ ...row, references: names.get(row.id) ?? [] }));
	}

	/** Puts the image there (again: no change) and moves these references to it, in one transaction. */
	save(image: { id: string; config: string; size: number }, references: readonly string[], now: string): void {
		this.database.transaction(() => {
			this.database
				.query("INSERT INTO images (id, config, size) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING")
				.run(image.id, image.config, image.size);
			for (const reference of references) this.refer(reference, image.id, now);
		})();
	}

	tag(reference: string, imageId: string, now: string): void {
		this.database.transaction(() => this.refer(reference, imageId, now))();
	}

	/** Adds a name with a digest: that is no tagging, so the time stays. */
	addDigest(reference: string, imageId: string): void {
		this.database
			.query("INSERT OR REPLACE INTO image_references (reference, image_id) VALUES (?, ?)")
			.run(reference, imageId);
	}

	untag(reference: string): void {
		this.database.query("DELETE FROM image_references WHERE reference = ?").run(reference);
	}

	remove(imageId: string): void {
		this.database.transaction(() => {
			this.database.query("DELETE FROM image_references WHERE image_id = ?").run(imageId);
			this.database.query("DELETE FROM images WHERE id = ?").run(imageId);
		})();
	}

	private refer(reference: string, imageId: string, now: string): void {
		this.database
			.query(
				"INSERT INTO image_references (reference, image_id) VALUES (?, ?) ON CONFLICT (reference) DO UPDATE SET image_id = excluded.image_id",
			)
			.run(reference, imageId);
		this.database.query("UPDATE images SET last_tagged = ? WHERE id = ?").run(now, imageId);
	}
}
