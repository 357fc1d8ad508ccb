import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addCounts, type Counts, countsOfJunit, countsOfLastLine, formatCounts } from "./test-counts.ts";

// Every check the project has, one after another; each is limited in time. A step without counts of its own (linter, types, build) counts as one.

const MINUTE_MS = 60_000;
const bun = process.execPath;
const reports = mkdtempSync(join(tmpdir(), "foredeck-test-"));
const total: Counts = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];

interface Outcome {
	readonly code: number;
	readonly output: string;
}

/** Runs in a process group of its own, which is killed as a whole when the time is up. */
async function run(argv: readonly string[], limitMs: number): Promise<Outcome> {
	const child = Bun.spawn(["setsid", "--wait", "timeout", "--kill-after=5", `${limitMs / 1000}`, ...argv], {
		stdin: "ignore",
		stdout: "pipe",
		stderr: "pipe",
	});
	const parts: Uint8Array[] = [];
	const drain = async (stream: ReadableStream<Uint8Array>) => {
		for await (const chunk of stream) {
			parts.push(chunk);
			process.stdout.write(chunk);
		}
	};
	const drained = Promise.all([drain(child.stdout), drain(child.stderr)]);
	const code = await child.exited;
	// a process left behind may hold the pipe: do not wait for it
	await Promise.race([drained, Bun.sleep(2000)]);
	return { code, output: Buffer.concat(parts).toString() };
}

function record(name: string, counts: Counts): void {
	addCounts(total, counts);
	if (counts.failed > 0) failures.push(name);
	console.log(`== ${name}: ${formatCounts(counts)}`);
}

/** A step that passes or fails as a whole. */
async function check(name: string, argv: readonly string[], limitMs: number): Promise<void> {
	console.log(`== ${name}`);
	const { code } = await run(argv, limitMs);
	record(name, code === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 });
}

/** A `bun test` run, counted from its JUnit report; a run that ends badly without a failed test counts as one failure. */
async function tests(name: string, argv: readonly string[], limitMs: number): Promise<void> {
	console.log(`== ${name}`);
	const report = join(reports, `${name.replaceAll(/[^a-z0-9]+/gi, "-")}.xml`);
	const { code } = await run([bun, "test", "--reporter=junit", `--reporter-outfile=${report}`, ...argv], limitMs);
	const counts = existsSync(report)
		? countsOfJunit(readFileSync(report, "utf8"))
		: { passed: 0, failed: 0, skipped: 0 };
	if (code !== 0 && counts.failed === 0) counts.failed = 1;
	record(name, counts);
}

async function lab(): Promise<void> {
	console.log("== lab");
	const { code, output } = await run([bun, "lab/run.ts"], 15 * MINUTE_MS);
	const counts = countsOfLastLine(output);
	if (code !== 0 && counts.failed === 0) counts.failed = 1;
	record("lab", counts);
}

function kernelTests(): string[] {
	const paths = readdirSync("src", { recursive: true, encoding: "utf8" });
	return paths
		.filter((path) => path.endsWith(".kernel.test.ts"))
		.sort()
		.map((path) => `./src/${path}`);
}

await check("linter", ["node_modules/.bin/biome", "check", "."], 2 * MINUTE_MS);
await check("types", ["node_modules/.bin/tsc", "--noEmit"], 5 * MINUTE_MS);
await tests(
	"unit tests",
	["--path-ignore-patterns", "**/*.kernel.test.ts", "src", "./scripts", "./bench"],
	5 * MINUTE_MS,
);
await check("build", ["scripts/build"], 5 * MINUTE_MS);
for (const path of kernelTests()) await tests(path, [path], 3 * MINUTE_MS);
await check("images of the Compose stacks", [bun, "lab/prepare-stacks.ts"], 5 * MINUTE_MS);
await lab();

rmSync(reports, { recursive: true, force: true });
for (const name of failures) console.log(`failed: ${name}`);
console.log(formatCounts(total));
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
