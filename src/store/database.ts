import { Database } from "bun:sqlite";
import { chmodSync, closeSync, existsSync, openSync } from "node:fs";
import { EngineError, messageOf } from "../shared/errors.ts";
import { reserveRoom } from "./reserve.ts";

/**
 * Opens (or creates, mode 0600) the state file: WAL, synchronous=NORMAL, foreign keys, migrated to `steps.length`.
 * A damaged file, and one of a newer version, is refused with "internal" and left as it is.
 */
export function openDatabase(path: string, ...steps: readonly string[]): Database {
	if (path !== ":memory:") ensureFile(path);
	let db: Database | undefined;
	try {
		db = new Database(path, { create: true, strict: true });
		db.run("PRAGMA journal_mode = WAL");
		db.run("PRAGMA synchronous = NORMAL");
		db.run("PRAGMA foreign_keys = ON");
		const check = db.query<{ quick_check: string }, []>("PRAGMA quick_check(1)").get();
		if (check?.quick_check !== "ok") throw new Error(check?.quick_check ?? "quick_check gave no answer");
		migrate(db, path, steps);
		if (path !== ":memory:") reserveRoom(db, path);
		return db;
	} catch (error) {
		db?.close();
		if (error instanceof EngineError) throw error;
		throw new EngineError(
			"internal",
			`cannot use the state file ${path}: ${messageOf(error)}; nothing was changed: restore it from a backup, or move it away to start with no containers`,
			{ cause: error },
		);
	}
}

function ensureFile(path: string): void {
	if (!existsSync(path)) closeSync(openSync(path, "a", 0o600));
	chmodSync(path, 0o600);
}

function migrate(db: Database, path: string, steps: readonly string[]): void {
	const version = db.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version ?? 0;
	if (version > steps.length) {
		throw new EngineError(
			"internal",
			`cannot use the state file ${path}: it has version ${version}, this program knows up to ${steps.length}; run the newer program that wrote it, or move the file away`,
		);
	}
	steps.slice(version).forEach((step, i) => {
		db.transaction(() => {
			db.run(step);
			db.run(`PRAGMA user_version = ${version + i + 1}`);
		})();
	});
}
