import type { Database } from "bun:sqlite";

/** build_steps: how a build made an image; parent "" is none. */
export const buildSchema = `
CREATE TABLE build_steps (
	image_id TEXT PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
	parent TEXT NOT NULL,
	cache_key TEXT NOT NULL,      -- digest of what the step was
	created INTEGER NOT NULL      -- ms since 1970
) STRICT;
CREATE INDEX build_steps_by_key ON build_steps (parent, cache_key);
`;

/** Which images builds made, from what, by which step. A row goes with its image. */
export class BuildStore {
	constructor(private readonly database: Database) {}

	put(imageId: string, parent: string, cacheKey: string, created: number): void {
		this.database
			.query("INSERT OR REPLACE INTO build_steps (image_id, parent, cache_key, created) VALUES (?, ?, ?, ?)")
			.run(imageId, parent, cacheKey, created);
	}

	/** The newest image that this step made from this parent. */
	find(parent: string, cacheKey: string): string | undefined {
		return this.database
			.query<{ image_id: string }, [string, string]>(
				"SELECT image_id FROM build_steps WHERE parent = ? AND cache_key = ? ORDER BY created DESC, rowid DESC",
			)
			.get(parent, cacheKey)?.image_id;
	}

	/** Parent by image, of those that have one that is there. */
	parents(): Map<string, string> {
		const rows = this.database
			.query<{ image_id: string; parent: string }, []>(
				"SELECT image_id, parent FROM build_steps WHERE parent IN (SELECT id FROM images)",
			)
			.all();
		return new Map(rows.map((row) => [row.image_id, row.parent]));
	}
}
