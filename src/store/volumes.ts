import type { Database } from "bun:sqlite";

/** volumes: one row each; labels and options are JSON objects, NULL where none were given; removing: a deletion that is to be finished. */
export const volumesSchema = `
CREATE TABLE volumes (
	name TEXT PRIMARY KEY,
	driver TEXT NOT NULL,
	created TEXT NOT NULL,
	labels TEXT,
	options TEXT,
	removing INTEGER NOT NULL DEFAULT 0
) STRICT`;

export interface VolumeRow {
	readonly name: string;
	readonly driver: string;
	/** RFC 3339 */
	readonly created: string;
	readonly labels: Readonly<Record<string, string>> | null;
	readonly options: Readonly<Record<string, string>> | null;
	readonly removing: boolean;
}

interface Stored {
	readonly name: string;
	readonly driver: string;
	readonly created: string;
	readonly labels: string | null;
	readonly options: string | null;
	readonly removing: number;
}

export class VolumeStore {
	constructor(private readonly database: Database) {}

	get(name: string): VolumeRow | undefined {
		const row = this.database.query<Stored, [string]>("SELECT * FROM volumes WHERE name = ?").get(name);
		return row ? rowOf(row) : undefined;
	}

	/** Oldest first. */
	list(): VolumeRow[] {
		return this.database.query<Stored, []>("SELECT * FROM volumes ORDER BY rowid").all().map(rowOf);
	}

	add(row: Omit<VolumeRow, "removing">): void {
		const json = (value: object | null) => (value === null ? null : JSON.stringify(value));
		this.database
			.query("INSERT INTO volumes (name, driver, created, labels, options) VALUES (?, ?, ?, ?, ?)")
			.run(row.name, row.driver, row.created, json(row.labels), json(row.options));
	}

	markRemoving(name: string): void {
		this.database.query("UPDATE volumes SET removing = 1 WHERE name = ?").run(name);
	}

	delete(name: string): void {
		this.database.query("DELETE FROM volumes WHERE name = ?").run(name);
	}
}

function rowOf(row: Stored): VolumeRow {
	const parse = (text: string | null) => (text === null ? null : (JSON.parse(text) as Record<string, string>));
	return { ...row, labels: parse(row.labels), options: parse(row.options), removing: row.removing !== 0 };
}
