import type { Database } from "bun:sqlite";

/** containers: one row each; `record` is the JSON of engine's ContainerRecord. */
export const containersSchema = `
CREATE TABLE containers (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	record TEXT NOT NULL
) STRICT`;

interface Stored {
	readonly id: string;
	readonly name: string;
}

/** Records of containers: the file is the truth across restarts, the index in memory answers every read. */
export interface ContainerStore<R extends Stored> {
	get(id: string): R | undefined;
	byName(name: string): R | undefined;
	/** Ids that begin with `prefix`: at most two, which is enough to tell "none", "one" and "ambiguous". */
	byPrefix(prefix: string): R[];
	/** Newest first. The array is replaced, never changed. */
	list(): readonly R[];
	/** Writes (one commit) and replaces the record in the index. */
	put(record: R): void;
	/** Replaces it in the index alone: for what does not outlive the daemon. */
	show(record: R): void;
	delete(id: string): void;
	readonly revision: number;
	revisionOf(id: string): number;
}

/** Loads all rows. Oldest rows come first in the table, and stay so: updates keep the rowid. */
export function createContainerStore<R extends Stored>(db: Database): ContainerStore<R> {
	const upsert = db.query(
		"INSERT INTO containers (id, name, record) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name, record = excluded.record",
	);
	const remove = db.query("DELETE FROM containers WHERE id = ?");
	const byId = new Map<string, R>();
	const byName = new Map<string, string>();
	const revisions = new Map<string, number>();
	let revision = 0;
	let listed: { at: number; records: R[] } | undefined;
	for (const row of db.query<{ record: string }, []>("SELECT record FROM containers ORDER BY rowid").all()) {
		index(JSON.parse(row.record) as R);
	}

	function index(record: R): void {
		const before = byId.get(record.id);
		if (before && before.name !== record.name) byName.delete(before.name);
		byId.set(record.id, record);
		byName.set(record.name, record.id);
		revisions.set(record.id, ++revision);
	}

	return {
		get: (id) => byId.get(id),
		byName: (name) => byId.get(byName.get(name) ?? ""),
		byPrefix: (prefix) => {
			const found: R[] = [];
			for (const [id, record] of byId) {
				if (id.startsWith(prefix) && found.push(record) === 2) break;
			}
			return found;
		},
		list: () => {
			if (listed?.at !== revision) listed = { at: revision, records: [...byId.values()].reverse() };
			return listed.records;
		},
		put: (record) => {
			upsert.run(record.id, record.name, JSON.stringify(record));
			index(record);
		},
		show: index,
		delete: (id) => {
			remove.run(id);
			const record = byId.get(id);
			if (!record) return;
			byId.delete(id);
			if (byName.get(record.name) === id) byName.delete(record.name);
			revisions.delete(id);
			revision++;
		},
		get revision() {
			return revision;
		},
		revisionOf: (id) => revisions.get(id) ?? 0,
	};
}
