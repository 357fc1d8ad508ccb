import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** A process that raises its main thread, and what it starts, print their nice values. */
const PROGRAM = `
	import { readFileSync } from "node:fs";
	import { raiseThreadPriority } from ${JSON.stringify(join(import.meta.dirname, "thread-priority.ts"))};
	const niceOf = (stat) => stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16];
	const raised = raiseThreadPriority(-5);
	const child = Bun.spawnSync(["cat", "/proc/self/stat"]).stdout.toString();
	console.log(raised, niceOf(readFileSync("/proc/thread-self/stat", "utf8")), niceOf(child));
`;

test("the thread goes first, and nothing that it starts does", () => {
	const { stdout } = Bun.spawnSync([process.execPath, "-e", PROGRAM]);
	expect(stdout.toString().trim()).toBe("true -5 0");
	expect(readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ")[16]).toBe("0");
});
