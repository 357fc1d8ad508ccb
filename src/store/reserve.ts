import { constants, type Database } from "bun:sqlite";
import { closeSync, openSync, statfsSync, statSync, writeSync } from "node:fs";

/** 3 MB: what is written while containers are stopped and removed one after the other, until there is room again. */
const RESERVED_PAGES = 768;
const PAGE_BYTES = 4096;
/** Of the disk must be free, or nothing is reserved. */
const ENOUGH_BYTES = 4 * RESERVED_PAGES * PAGE_BYTES;
const FRAME_BYTES = PAGE_BYTES + 24;
const WAL_HEADER_BYTES = 32;
/** Earlier than SQLite's own 1000, so that the reserved frames last. */
const CHECKPOINT_PAGES = 512;

/**
 * Takes room on the disk, in the state file and its WAL, once: on a full disk containers can still be stopped and removed, which is how a disk
 * is made less full. Where there is no room any more, what was reserved before is all there is.
 */
export function reserveRoom(db: Database, path: string): void {
	db.fileControl(constants.SQLITE_FCNTL_PERSIST_WAL, 1);
	db.run(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
	const free = db.query<{ freelist_count: number }, []>("PRAGMA freelist_count").get()?.freelist_count ?? 0;
	if (free >= RESERVED_PAGES && sizeOf(`${path}-wal`) >= RESERVED_PAGES * FRAME_BYTES) return;
	// Pages that the file itself has no room for would stay in the WAL, and fill it for good.
	const { bavail, bsize } = statfsSync(path);
	if (bavail * bsize < ENOUGH_BYTES) return;
	db.transaction(() => {
		db.run("CREATE TABLE reserve (bytes BLOB)");
		db.run("INSERT INTO reserve VALUES (zeroblob(?))", [(RESERVED_PAGES + 8) * PAGE_BYTES]);
	})();
	// Its pages stay in the file, free.
	db.run("DROP TABLE reserve");
	db.run("PRAGMA wal_checkpoint(RESTART)");
}

/**
 * Closes the file and keeps the WAL's room. What stands in the WAL is in the file by then; it is made void, so that it is not taken for news by who
 * puts an older state file in the place of this one.
 */
export function closeDatabase(db: Database): void {
	const path = db.filename;
	const isMoved = checkpoint(db);
	db.close();
	if (!isMoved || sizeOf(`${path}-wal`) < WAL_HEADER_BYTES) return;
	const wal = openSync(`${path}-wal`, "r+");
	writeSync(wal, Buffer.alloc(WAL_HEADER_BYTES), 0, WAL_HEADER_BYTES, 0);
	closeSync(wal);
}

/** Whether all of the WAL stands in the file now. */
function checkpoint(db: Database): boolean {
	try {
		const moved = db.query<{ log: number; checkpointed: number }, []>("PRAGMA wal_checkpoint(PASSIVE)").get();
		return moved !== null && moved.log === moved.checkpointed;
	} catch {
		// the disk is full: the WAL keeps what it has
		return false;
	}
}

function sizeOf(file: string): number {
	return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
