import { join } from "node:path";
import type { Bench } from "./lib/bench.ts";

/** A child does it, because the port may have to be reached from another network namespace. */
export const bench: Bench = {
	title: "create to first byte of a published port",
	unit: "ms",
	better: "lower",
	rounds: 15,
	goal: 0.25,
	async measure(engine) {
		const enter = engine.netns === undefined ? [] : ["nsenter", `--net=${engine.netns}`];
		const script = join(import.meta.dir, "lib/first-byte-client.ts");
		const child = Bun.spawn([...enter, process.execPath, script, engine.socket], {
			stdout: "pipe",
			stderr: "pipe",
			stdin: "ignore",
		});
		const [out, error, code] = await Promise.all([
			new Response(child.stdout).text(),
			new Response(child.stderr).text(),
			child.exited,
		]);
		if (code !== 0) throw new Error(error);
		return Number(out);
	},
};
