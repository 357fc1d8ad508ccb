import { join } from "node:path";
import { CheckFailed, equal } from "../../lib/assert.ts";
import { loadImage } from "../../lib/load-image.ts";
import { type Lab, type Scenario, step } from "../../lib/scenario.ts";

const here = import.meta.dir;

/** Runs a program to its end in this folder, with the engine where Docker's clients look for it. Returns what it printed last. */
async function run({ docker }: Lab, argv: readonly [string, ...string[]]): Promise<string> {
	// testcontainers' reaper is an image that would have to be pulled
	const env = { ...process.env, ...docker.env, TESTCONTAINERS_RYUK_DISABLED: "true", NODE_NO_WARNINGS: "1" };
	const child = Bun.spawn([...argv], { cwd: here, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
	const timer = setTimeout(() => child.kill("SIGKILL"), 55_000);
	const [stdout, stderr, code] = await Promise.all([
		new Response(child.stdout).text(),
		new Response(child.stderr).text(),
		child.exited,
	]);
	clearTimeout(timer);
	if (code !== 0) throw new CheckFailed(`${argv.join(" ")}: exit code ${code}\n${stdout}\n${stderr}`);
	return stdout.trim().split("\n").at(-1) ?? "";
}

export const scenario: Scenario = {
	title: "clients that others have written work as they are",
	steps: [
		step("clients from npm, as the lock file has them, and from Debian", async (lab) => {
			await run(lab, [
				"sh",
				"-c",
				"npm ls >/dev/null 2>&1 || npm ci --ignore-scripts --no-progress --no-audit --no-fund",
			]);
			await run(lab, [join(here, "../../../scripts/lib/packages"), "python3-docker"]);
		}),
		step("images load", async (lab) => {
			for (const image of ["busybox", "hello"]) await loadImage(lab, image);
		}),
		step("dockerode: run, exec with stdin, logs, events, files both ways, stats", async (lab) => {
			equal(await run(lab, ["node", "dockerode.mjs"]), "dockerode: ok", "last line");
		}),
		step("testcontainers: wait strategies, ports, exec, logs, files, restart, events", async (lab) => {
			equal(await run(lab, ["node", "testcontainers.mjs"]), "testcontainers: ok", "last line");
		}),
		step("python3-docker: run, exec, logs, events, files both ways, stats, pause", async (lab) => {
			equal(await run(lab, ["/usr/bin/python3", "python.py"]), "python3-docker: ok", "last line");
		}),
	],
};
