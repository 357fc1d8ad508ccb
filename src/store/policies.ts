import type { Database } from "bun:sqlite";

/** policies: one row each; `policy` is the JSON of engine's Policy. */
export const policiesSchema = `
CREATE TABLE policies (
	name TEXT PRIMARY KEY,
	policy TEXT NOT NULL
) STRICT;
`;

interface Named {
	readonly name: string;
}

/** Policies as they were applied; read once, written through. */
export class PolicyStore<P extends Named> {
	private readonly byName = new Map<string, P>();

	constructor(private readonly database: Database) {
		const rows = database.query<{ policy: string }, []>("SELECT policy FROM policies").all();
		for (const { policy } of rows) this.index(JSON.parse(policy) as P);
	}

	get size(): number {
		return this.byName.size;
	}

	/** By name. */
	list(): P[] {
		return [...this.byName.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
	}

	/** All of them and these removals in one commit. */
	change(put: readonly P[], remove: readonly string[] = []): void {
		const upsert = this.database.query(
			"INSERT INTO policies (name, policy) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET policy = excluded.policy",
		);
		const drop = this.database.query("DELETE FROM policies WHERE name = ?");
		this.database.transaction(() => {
			for (const policy of put) upsert.run(policy.name, JSON.stringify(policy));
			for (const name of remove) drop.run(name);
		})();
		for (const policy of put) this.index(policy);
		for (const name of remove) this.byName.delete(name);
	}

	private index(policy: P): void {
		this.byName.set(policy.name, policy);
	}
}
