import { existsSync, mkdtempSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Counts, runScenario } from "./lib/runner.ts";
import type { Scenario } from "./lib/scenario.ts";

// bun lab/run.ts [NN...]: runs all scenarios, or those with these numbers, against the built binary (FOREDECK_BINARY, default dist/foredeck).
// FOREDECK_LAB_RUNTIME names the OCI runtime of all containers (default: the engine's). The last line is `N passed, N failed, N skipped`; the exit code is 1 when something failed.

const here = import.meta.dir;
const runtime = process.env.FOREDECK_LAB_RUNTIME;
const binary = resolve(process.env.FOREDECK_BINARY ?? join(here, "../dist/foredeck"));

function scenarioNames(wanted: readonly string[]): string[] {
	const names = readdirSync(join(here, "scenarios")).sort();
	const unknown = wanted.find((number) => !names.some((name) => name.startsWith(`${number}-`)));
	if (unknown !== undefined) throw new Error(`no scenario ${unknown}: there are ${names.join(", ")}`);
	return wanted.length === 0 ? names : names.filter((name) => wanted.includes(name.split("-")[0] ?? ""));
}

/** Names and addresses of this process's own, so that two labs can run at once. */
function settingsFor(name: string) {
	const unique = process.pid % 10_000;
	return {
		binary,
		instance: `lab${unique}`,
		directory: mkdtempSync(`/var/tmp/foredeck-lab-${name}-`),
		...(runtime && { flags: ["--default-runtime", runtime] }),
		dns: `127.${100 + (unique % 100)}.${Math.floor(unique / 100)}.53:5300`,
	};
}

async function main(): Promise<number> {
	if (process.getuid?.() !== 0) throw new Error("the lab needs root: it starts an engine");
	if (!existsSync(binary)) throw new Error(`${binary} is missing: run scripts/build first`);
	const total: Counts = { passed: 0, failed: 0, skipped: 0 };
	for (const name of scenarioNames(process.argv.slice(2))) {
		const { scenario }: { scenario: Scenario } = await import(join(here, "scenarios", name, "scenario.ts"));
		console.log(`# ${name}: ${scenario.title}`);
		const counts = await runScenario(scenario, settingsFor(name), (line) => console.log(line));
		for (const key of ["passed", "failed", "skipped"] as const) total[key] += counts[key];
	}
	console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
	return total.failed === 0 ? 0 : 1;
}

process.exit(await main());
