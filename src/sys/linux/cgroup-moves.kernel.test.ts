import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";

const v1 = /^\d+:[a-z,]+:/m.test(readFileSync("/proc/self/cgroup", "utf8"));

test.skipIf(!v1)(
	"the hierarchy stands while the process runs and is mounted nowhere (needs cgroup v1 controllers)",
	() => {
		const program = `
		const { favorCgroupMoves } = await import(${JSON.stringify(`${import.meta.dir}/cgroup-moves.ts`)});
		const { readFileSync } = await import("node:fs");
		favorCgroupMoves();
		console.log(readFileSync("/proc/self/cgroup", "utf8"));
		console.log(readFileSync("/proc/self/mountinfo", "utf8"));
	`;
		const { stdout, exitCode } = Bun.spawnSync([process.execPath, "-e", program]);
		expect(exitCode).toBe(0);
		expect(stdout.toString()).toMatch(/^\d+:name=foredeck:\//m);
		expect(stdout.toString()).not.toContain("favordynmods");
	},
);
