import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Bench } from "./lib/bench.ts";

/** Measured by hyperfine, without a shell between; three runs a round. */
export const bench: Bench = {
	title: "docker run --rm by CLI",
	unit: "ms",
	better: "lower",
	rounds: 6,
	goal: 0.3,
	async measure(engine) {
		const directory = mkdtempSync(join(tmpdir(), "foredeck-bench-"));
		try {
			const report = join(directory, "report.json");
			const command = `docker -H unix://${engine.socket} run --rm --label foredeck-bench=1 busybox true`;
			const child = Bun.spawn(["hyperfine", "-N", "-r", "3", "--export-json", report, command], {
				stdout: "ignore",
				stderr: "pipe",
				stdin: "ignore",
			});
			if ((await child.exited) !== 0) throw new Error(await new Response(child.stderr).text());
			const { results } = JSON.parse(readFileSync(report, "utf8")) as { results: { median: number }[] };
			return (results[0]?.median ?? Number.NaN) * 1000;
		} finally {
			rmSync(directory, { recursive: true });
		}
	},
};
