import type { Database } from "bun:sqlite";

/** policies: one row each; `policy` is the JSON of engine's Policy. */
export const policiesSchema = `
CREATE TABLE policies (
	name TEXT PRIMARY KEY,
	policy TEXT NOT NULL
) STRICT;
`;

/** policy_unsettled: a row while running flows are still to be judged by a change: by policies of this name, or of sandboxes (''). */
export const unsettledSchema = `
CREATE TABLE policy_unsettled (
	name TEXT PRIMARY KEY
) STRICT;
`;

interface Named {
	readonly name: string;
}

/** Policies as they were applied; read once, written through. */
export class PolicyStore<P extends Named> {
	private readonly byName = new Map<string, P>();
	private readonly open: Set<string>;
	private sorted: readonly P[] | undefined;
	private future: readonly P[] | undefined;

	constructor(private readonly database: Database) {
		const rows = database.query<{ policy: string }, []>("SELECT policy FROM policies").all();
		for (const { policy } of rows) this.index(JSON.parse(policy) as P);
		const names = database.query<{ name: string }, []>("SELECT name FROM policy_unsettled").all();
		this.open = new Set(names.map(({ name }) => name));
	}

	/** Whether running flows are still to be judged: by what an earlier daemon changed and did not bring to an end, too. */
	get isUnsettled(): boolean {
		return this.open.size > 0;
	}

	/** Running flows are to be judged because of a change of sandboxes. Costs nothing the second time. */
	unsettle(): void {
		if (this.open.has("")) return;
		this.database.run("INSERT INTO policy_unsettled (name) VALUES ('')");
		this.open.add("");
	}

	/** Running flows have been judged by all that there is. */
	settle(): void {
		if (this.open.size === 0) return;
		this.database.run("DELETE FROM policy_unsettled");
		this.open.clear();
	}

	get size(): number {
		return this.byName.size;
	}

	/** By name. The same object until a policy changes. */
	list(): readonly P[] {
		this.sorted ??= this.foreseen(byName([...this.byName.values()]));
		return this.sorted;
	}

	/** What `list` is when these have been put, and nothing else: the very object, so that what has been found out about it stays known. */
	ahead(put: readonly P[]): readonly P[] {
		this.future = byName([...new Map([...this.list(), ...put].map((policy) => [policy.name, policy])).values()]);
		return this.future;
	}

	/** All of them and these removals in one commit, and that running flows are to be judged by them. */
	change(put: readonly P[], remove: readonly string[] = []): void {
		const upsert = this.database.query(
			"INSERT INTO policies (name, policy) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET policy = excluded.policy",
		);
		const drop = this.database.query("DELETE FROM policies WHERE name = ?");
		const unsettle = this.database.query("INSERT OR IGNORE INTO policy_unsettled (name) VALUES (?)");
		const names = [...put.map(({ name }) => name), ...remove];
		this.database.transaction(() => {
			for (const policy of put) upsert.run(policy.name, JSON.stringify(policy));
			for (const name of remove) drop.run(name);
			for (const name of names) unsettle.run(name);
		})();
		for (const name of names) this.open.add(name);
		for (const policy of put) this.index(policy);
		for (const name of remove) this.byName.delete(name);
		this.sorted = undefined;
	}

	private foreseen(list: readonly P[]): readonly P[] {
		const { future } = this;
		this.future = undefined;
		return future?.length === list.length && future.every((policy, at) => policy === list[at]) ? future : list;
	}

	private index(policy: P): void {
		this.byName.set(policy.name, policy);
	}
}

function byName<P extends Named>(policies: readonly P[]): readonly P[] {
	return policies.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
