import { afterEach, beforeEach, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { containersSchema, createContainerStore } from "./containers.ts";
import { openDatabase } from "./database.ts";
import { closeDatabase } from "./reserve.ts";

let root: string;
let path: string;

beforeEach(() => {
	root = mkdtempSync(join(tmpdir(), "foredeck-reserve-"));
	expect(Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", root]).exitCode).toBe(0);
	path = join(root, "state.db");
});
afterEach(() => {
	Bun.spawnSync(["umount", "-l", root]);
	rmSync(root, { recursive: true, force: true });
});

function fillDisk(): void {
	Bun.spawnSync(["dd", "if=/dev/zero", `of=${join(root, "fill")}`, "bs=4k"], { stderr: "ignore" });
	expect(() => writeFileSync(join(root, "more"), Buffer.alloc(8192))).toThrow("ENOSPC");
	rmSync(join(root, "more"), { force: true });
}

const record = (id: string, state: string) => ({ id, name: id, state, config: "x".repeat(4000) });
const ids = Array.from({ length: 100 }, (_, i) => `container-${i}`);

test("on a full disk records are changed and removed, again and again", () => {
	const database = openDatabase(path, containersSchema);
	const store = createContainerStore(database);
	for (const id of ids) store.put(record(id, "running"));
	fillDisk();
	for (let round = 0; round < 20; round++) for (const id of ids) store.put(record(id, `round ${round}`));
	for (const id of ids) store.delete(id);
	closeDatabase(database);
});

test("a file that was closed, or whose program was killed, opens on a full disk, and its records are removed", () => {
	const database = openDatabase(path, containersSchema);
	for (const id of ids) createContainerStore(database).put(record(id, "running"));
	closeDatabase(database);
	fillDisk();
	for (const [from, to] of [
		[0, 50],
		[50, 100],
	]) {
		const again = openDatabase(path, containersSchema);
		const store = createContainerStore(again);
		for (const id of ids.slice(from, to)) {
			store.put(record(id, "exited"));
			store.delete(id);
		}
		closeDatabase(again);
	}
	const last = openDatabase(path, containersSchema);
	expect(createContainerStore(last).list()).toEqual([]);
	closeDatabase(last);
});

test("an older state file put in the place of a closed one is not mixed with what came later", () => {
	const write = (id: string) => {
		const database = openDatabase(path, containersSchema);
		createContainerStore(database).put(record(id, "running"));
		closeDatabase(database);
	};
	write("old");
	copyFileSync(path, `${path}.backup`);
	write("new");
	copyFileSync(`${path}.backup`, path);
	const database = openDatabase(path, containersSchema);
	expect(createContainerStore(database).list()).toMatchObject([{ id: "old" }]);
	closeDatabase(database);
});

test("where there is no room to reserve the file is used as it is", () => {
	writeFileSync(join(root, "fill"), Buffer.alloc(14 * 1024 * 1024));
	const database = openDatabase(path, containersSchema);
	const store = createContainerStore(database);
	store.put(record("one", "running"));
	expect(store.list()).toHaveLength(1);
	closeDatabase(database);
});
