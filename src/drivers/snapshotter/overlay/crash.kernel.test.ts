import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OverlaySnapshotter } from "./overlay.ts";

/** The disk may be busy with others' data. */
setDefaultTimeout(30_000);

let base = "";
beforeEach(() => {
	base = fs.mkdtempSync(join(tmpdir(), "crash-"));
});
afterEach(() => fs.rmSync(base, { recursive: true }));

const count = (kind: string) => fs.readdirSync(join(base, "store", kind)).length;

/** A process that commits one layer, then unpacks another that never ends. */
const VICTIM = `
	import { OverlaySnapshotter } from ${JSON.stringify(join(import.meta.dirname, "overlay.ts"))};
	import * as fs from "node:fs";
	const snapshots = new OverlaySnapshotter(process.argv[2]);
	await snapshots.ingest({ source: { path: process.argv[3] } });
	const bytes = fs.readFileSync(process.argv[4]);
	async function* slow() {
		for (let at = 0; at < bytes.length - 100_000; at += 600_000) {
			yield bytes.subarray(at, at + 600_000);
			await Bun.sleep(3);
		}
		await Bun.sleep(60_000);
	}
	await snapshots.ingest({ source: { body: slow() } });
`;

test("kill -9 in the middle of unpacking leaves whole layers and nothing else", async () => {
	const make =
		"mkdir t && cd t && for i in $(seq 600); do head -c 20000 /dev/urandom >$i; done; tar -cf ../big.tar . && tar -cf ../one.tar 1 2";
	execFileSync("sh", ["-ec", make], { cwd: base });
	fs.writeFileSync(join(base, "victim.ts"), VICTIM);
	for (const delay of [0, 15, 40, 90]) {
		const args = [join(base, "victim.ts"), join(base, "store"), join(base, "one.tar"), join(base, "big.tar")];
		const victim = spawn(process.execPath, args, { stdio: "inherit" });
		const exited = once(victim, "exit");
		// The trash is made last.
		while (!fs.existsSync(join(base, "store/trash")) || count("index") !== 1 || count("layers") !== 2)
			await Bun.sleep(2);
		await Bun.sleep(delay);
		victim.kill("SIGKILL");
		await exited;
		const snapshots = new OverlaySnapshotter(join(base, "store"));
		await snapshots[Symbol.asyncDispose]();
		expect([count("layers"), count("recipes"), count("index"), count("trash")]).toEqual([1, 1, 1, 0]);
		const [chainId = ""] = snapshots.layers();
		await snapshots.verify(chainId);
		await snapshots.removeLayer(chainId);
		await snapshots[Symbol.asyncDispose]();
	}
});

test("a layer that may not have reached the disk is kept after a crash, and is not there after a power loss", async () => {
	execFileSync("sh", ["-ec", "echo 1 >f && tar -cf one.tar f"], { cwd: base });
	const open = () => new OverlaySnapshotter(join(base, "store"));
	const index = () => join(base, "store/index", fs.readdirSync(join(base, "store/index"))[0] ?? "");
	const read = () => JSON.parse(fs.readFileSync(index(), "utf8")) as { boot?: string };
	const first = open();
	const { chainId } = await first.ingest({ source: { path: join(base, "one.tar") } });
	const marked = read();
	expect(marked.boot).toBe(fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
	await first[Symbol.asyncDispose]();
	expect(read().boot).toBeUndefined();
	fs.writeFileSync(index(), JSON.stringify(marked));

	const second = open();
	expect(second.layers()).toEqual([chainId]);
	for (let i = 0; i < 1000 && read().boot !== undefined; i++) await Bun.sleep(10);
	expect(read().boot).toBeUndefined();
	await second[Symbol.asyncDispose]();

	fs.writeFileSync(index(), JSON.stringify({ ...read(), boot: "another" }));
	const third = open();
	await third[Symbol.asyncDispose]();
	expect(third.layers()).toEqual([]);
	expect([count("layers"), count("recipes"), count("index"), count("trash")]).toEqual([0, 0, 0, 0]);
});
