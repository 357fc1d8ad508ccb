import { mkdirSync, rmSync } from "node:fs";
import { eventually } from "./assert.ts";
import { createDocker } from "./docker.ts";
import { createEngine, type EngineSettings, tail } from "./engine.ts";
import { findTraces, listTraces } from "./leaks.ts";
import type { Lab, Scenario } from "./scenario.ts";

export interface Counts {
	passed: number;
	failed: number;
	skipped: number;
}

const STEP_WITHIN_MS = 60_000;
const LEAKS_GONE_WITHIN_MS = 10_000;

/**
 * Starts an engine for the scenario, runs its steps, takes everything down and looks for what was left behind (counted as a step of its own).
 * `print` gets a line per step. The directory is removed afterwards; with failed steps the daemon's last log lines are printed first.
 */
export async function runScenario(
	scenario: Scenario,
	settings: EngineSettings,
	print: (line: string) => void,
): Promise<Counts> {
	mkdirSync(settings.directory, { recursive: true });
	await using place = await scenario.place?.(settings.directory);
	const launch = place?.launch;
	const engine = createEngine({
		...settings,
		launch,
		flags: [...(settings.flags ?? []), ...(scenario.flags?.(settings.directory) ?? [])],
	});
	const docker = createDocker(engine.host, `${settings.directory}/docker-config`);
	const lab: Lab = { engine, docker, directory: settings.directory, ...(place && { place }) };
	const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
	const steps = [
		{ name: "the engine starts", lacks: undefined, run: () => engine.start() },
		...scenario.steps.map(({ name, lacks, run }) => ({ name, lacks, run: () => run(lab) })),
	];
	for (const { name, lacks, run } of steps) {
		const hindrance = counts.failed > 0 ? "a step before it failed" : lacks;
		if (hindrance !== undefined) {
			counts.skipped += 1;
			print(`skip ${name}: ${hindrance}`);
			continue;
		}
		await runStep(name, run, counts, print);
	}
	await runStep("everything is taken down and nothing is left behind", () => takeDown(lab, settings), counts, print);
	if (counts.failed > 0) print(`--- last lines of the daemon's log\n${tail(engine.logFile, 40)}\n---`);
	rmSync(settings.directory, { recursive: true, force: true });
	return counts;
}

async function runStep(
	name: string,
	run: () => Promise<void>,
	counts: Counts,
	print: (line: string) => void,
): Promise<void> {
	const begin = performance.now();
	const { promise: late, reject } = Promise.withResolvers<never>();
	const timer = setTimeout(() => reject(new Error(`no end within ${STEP_WITHIN_MS} ms`)), STEP_WITHIN_MS);
	try {
		await Promise.race([run(), late]);
		counts.passed += 1;
		print(`ok   ${name} (${Math.round(performance.now() - begin)} ms)`);
	} catch (error) {
		counts.failed += 1;
		print(`FAIL ${name}: ${error instanceof Error ? error.message : String(error)}`);
	} finally {
		clearTimeout(timer);
	}
}

/** Removes all containers through the API, stops the daemon; fails when that does not work or something remains, which is then ended by force. */
async function takeDown(lab: Lab, settings: EngineSettings): Promise<void> {
	const traces = () => listTraces(findTraces(settings.instance, settings.directory));
	try {
		await removeContainers(lab);
		await lab.engine.stop();
		const gone = () => traces().length === 0;
		await eventually("no trace", gone, { withinMs: LEAKS_GONE_WITHIN_MS, everyMs: 100 });
	} catch (error) {
		const left = traces();
		await lab.engine.kill();
		removeLeftovers(settings);
		if (left.length === 0) throw error;
		throw new Error(`${error instanceof Error ? error.message : error}; left behind:\n  ${left.join("\n  ")}`);
	}
}

/** A scenario may have ended with its daemon down and containers running: a new daemon finds them. */
async function removeContainers({ engine, docker }: Lab): Promise<void> {
	if (engine.pid === undefined) await engine.start();
	const ids = await docker("ps", "-aq");
	if (ids !== "") await docker("rm", "-f", "-v", ...ids.split("\n"));
}

/** Only processes of this instance: their command line or root names its directory. */
function removeLeftovers({ instance, directory }: EngineSettings): void {
	for (const line of findTraces(instance, directory).processes) {
		try {
			process.kill(Number.parseInt(line, 10), "SIGKILL");
		} catch {
			// ended in the meantime
		}
	}
	for (const path of [...findTraces(instance, directory).mounts].reverse()) Bun.spawnSync(["umount", "-l", path]);
	for (const table of findTraces(instance, directory).nftTables) Bun.spawnSync(["nft", "delete", ...table.split(" ")]);
	for (const name of findTraces(instance, directory).interfaces) Bun.spawnSync(["ip", "link", "delete", name]);
	// children before their parents
	const deepestFirst = [...findTraces(instance, directory).cgroups].sort((a, b) => b.length - a.length);
	for (const path of deepestFirst) Bun.spawnSync(["rmdir", path]);
}
