import type { Database } from "bun:sqlite";

/**
 * image_manifests: what registries sent for an image, byte for byte; `name@digest` in image_references points here by its digest.
 * layer_blobs: under which compressed digest a repository holds a layer: push skips and mounts by it, a repair fetches by it.
 * layer_leases: layers of pulls under way, which no image refers to yet. They outlive the daemon, so that a killed pull resumes.
 */
export const distributionSchema = `
CREATE TABLE image_manifests (
	image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
	digest TEXT NOT NULL,
	media_type TEXT NOT NULL,
	bytes BLOB NOT NULL,
	PRIMARY KEY (image_id, digest)
) STRICT;
CREATE TABLE layer_blobs (
	diff_id TEXT NOT NULL,
	digest TEXT NOT NULL,
	size INTEGER NOT NULL,        -- bytes, compressed
	media_type TEXT NOT NULL,
	repository TEXT NOT NULL,     -- with its domain: docker.io/library/busybox
	PRIMARY KEY (diff_id, digest, repository)
) STRICT;
CREATE TABLE layer_leases (
	lease TEXT NOT NULL,
	chain_id TEXT NOT NULL,
	expires INTEGER NOT NULL,     -- ms since the epoch
	PRIMARY KEY (lease, chain_id)
) STRICT;
`;

/** A manifest or index exactly as it came. */
export interface StoredManifest {
	readonly digest: string;
	readonly mediaType: string;
	readonly bytes: Uint8Array;
}

/** A layer as one repository holds it. */
export interface LayerBlob {
	readonly diffId: string;
	readonly digest: string;
	/** bytes, compressed */
	readonly size: number;
	readonly mediaType: string;
	/** `docker.io/library/busybox` */
	readonly repository: string;
}

/** What is known of images and layers beyond this machine, and the leases of layers on their way here. */
export class DistributionStore {
	constructor(private readonly database: Database) {}

	/** Manifests of an image, in the order they were stored. */
	manifests(imageId: string): StoredManifest[] {
		return this.database
			.query<StoredManifest, [string]>(
				"SELECT digest, media_type AS mediaType, bytes FROM image_manifests WHERE image_id = ? ORDER BY rowid",
			)
			.all(imageId);
	}

	/** The image must be stored already. Known ones stay as they are. */
	saveManifests(imageId: string, manifests: readonly StoredManifest[]): void {
		this.database.transaction(() => {
			for (const { digest, mediaType, bytes } of manifests) {
				this.database
					.query(
						"INSERT INTO image_manifests (image_id, digest, media_type, bytes) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
					)
					.run(imageId, digest, mediaType, bytes);
			}
		})();
	}

	/** Everything known of a layer, newest first. */
	blobs(diffId: string): LayerBlob[] {
		return this.database
			.query<LayerBlob, [string]>(
				"SELECT diff_id AS diffId, digest, size, media_type AS mediaType, repository FROM layer_blobs WHERE diff_id = ? ORDER BY rowid DESC",
			)
			.all(diffId);
	}

	/** The layer that a compressed blob unpacks to, when a registry has told. */
	diffIdOf(digest: string): string | undefined {
		return this.database
			.query<{ diff_id: string }, [string]>("SELECT diff_id FROM layer_blobs WHERE digest = ? LIMIT 1")
			.get(digest)?.diff_id;
	}

	saveBlob(blob: LayerBlob): void {
		this.database
			.query(
				"INSERT OR REPLACE INTO layer_blobs (diff_id, digest, size, media_type, repository) VALUES (?, ?, ?, ?, ?)",
			)
			.run(blob.diffId, blob.digest, blob.size, blob.mediaType, blob.repository);
	}

	/** The repository turned out not to have it. */
	forgetBlob(blob: Pick<LayerBlob, "diffId" | "digest" | "repository">): void {
		this.database
			.query("DELETE FROM layer_blobs WHERE diff_id = ? AND digest = ? AND repository = ?")
			.run(blob.diffId, blob.digest, blob.repository);
	}

	/** @param expires ms since the epoch */
	lease(lease: string, chainIds: readonly string[], expires: number): void {
		this.database.transaction(() => {
			for (const chainId of chainIds) {
				this.database
					.query("INSERT OR REPLACE INTO layer_leases (lease, chain_id, expires) VALUES (?, ?, ?)")
					.run(lease, chainId, expires);
			}
		})();
	}

	endLease(lease: string): void {
		this.database.query("DELETE FROM layer_leases WHERE lease = ?").run(lease);
	}

	leases(): string[] {
		return this.database
			.query<{ lease: string }, []>("SELECT DISTINCT lease FROM layer_leases")
			.all()
			.map((row) => row.lease);
	}

	/** chainIDs under leases that have not run out; those that have are deleted. */
	leased(now: number): string[] {
		this.database.query("DELETE FROM layer_leases WHERE expires <= ?").run(now);
		return this.database
			.query<{ chain_id: string }, []>("SELECT DISTINCT chain_id FROM layer_leases")
			.all()
			.map((row) => row.chain_id);
	}
}
