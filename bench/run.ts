import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Bench } from "./lib/bench.ts";
import { type Engine, listenerOf, removeBenchContainers } from "./lib/engine.ts";
import { ask } from "./lib/http.ts";
import { formatRows, measure, type Row } from "./lib/measure.ts";

// bun bench/run.ts --engine NAME=unix:///PATH [--engine ...] [--netns NAME=PATH] [--pids NAME=PID,PID] [--only FILE,FILE] [--rounds N] [--json FILE]

const IMAGES = ["busybox", "hello"];

const { values: flags } = parseArgs({
	options: {
		engine: { type: "string", multiple: true },
		netns: { type: "string", multiple: true },
		pids: { type: "string", multiple: true },
		only: { type: "string" },
		rounds: { type: "string" },
		json: { type: "string" },
	},
});

/** `NAME=VALUE` flags as a map. */
function pairs(list: readonly string[] = []): Map<string, string> {
	return new Map(list.map((text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)]));
}

function engines(): Engine[] {
	const netns = pairs(flags.netns);
	const pids = pairs(flags.pids);
	const found = [...pairs(flags.engine)].map(([name, host]) => {
		const socket = host.replace(/^unix:\/\//, "");
		const given = pids.get(name)?.split(",").map(Number);
		return { name, socket, netns: netns.get(name), pids: given ?? listenerOf(socket, netns.get(name)) };
	});
	if (found.length === 0) throw new Error("give at least one --engine NAME=unix:///PATH");
	return found;
}

async function benches(): Promise<Bench[]> {
	const only = flags.only?.split(",");
	const files = readdirSync(import.meta.dir).filter((file) => file.endsWith(".bench.ts"));
	// memory first: later figures leave their traces in it
	const order = (file: string) => (file.startsWith("idle") ? 0 : 1);
	const wanted = files.filter((file) => only?.includes(file.replace(".bench.ts", "")) ?? true);
	const sorted = wanted.sort((a, b) => order(a) - order(b) || a.localeCompare(b));
	return await Promise.all(sorted.map(async (file) => (await import(join(import.meta.dir, file))).bench as Bench));
}

/** Makes and loads the images that an engine does not have. */
async function loadImages(engine: Engine): Promise<void> {
	for (const image of IMAGES) {
		const present = await ask(engine.socket, "GET", `/v1.43/images/${image}/json`).then(
			() => true,
			() => false,
		);
		if (present) continue;
		const directory = mkdtempSync(join(tmpdir(), "foredeck-bench-"));
		const tar = join(directory, "image.tar");
		try {
			run([process.execPath, join(import.meta.dir, "../lab/make-image.ts"), image, tar]);
			run(["docker", "-H", `unix://${engine.socket}`, "load", "-q", "-i", tar]);
		} finally {
			rmSync(directory, { recursive: true });
		}
	}
}

function run(argv: readonly string[]): void {
	const { exitCode, stderr } = Bun.spawnSync([...argv]);
	if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr}`);
}

async function main(): Promise<void> {
	const measured = engines();
	for (const engine of measured) {
		await removeBenchContainers(engine);
		await loadImages(engine);
	}
	const rows: Row[] = [];
	for (const bench of await benches()) {
		const row = await measure(bench, measured, flags.rounds === undefined ? undefined : Number(flags.rounds));
		rows.push(row);
		console.error(`${row.title}: ${JSON.stringify(row.medians)} ${row.unit} ${JSON.stringify(row.errors)}`);
	}
	const load = readFileSync("/proc/loadavg", "utf8").split(" ")[0];
	console.log(
		`${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores, Linux ${release()}, load ${load} at the end\n`,
	);
	console.log(
		formatRows(
			rows,
			measured.map(({ name }) => name),
		),
	);
	if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(rows, undefined, 2)}\n`);
}

await main();
process.exit(0);
