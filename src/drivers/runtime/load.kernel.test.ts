import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../shared/log.ts";
import { createRuntimeDriver, stopSupervisor } from "./create.ts";
import type { ProcessExit, ProcessIo } from "./driver.ts";
import { CRUN, makeBusyboxRoot, SECCOMP, testSpec } from "./test-bundle.ts";

const directory = mkdtempSync(join(tmpdir(), "rt-load-"));
const runRoot = `${directory}/run`;
const root = `${directory}/root`;
const cgroupParent = `/foredeck-load-${process.pid}`;
const exits = new Map<string, ProcessExit>();
const driver = createRuntimeDriver({
	runRoot,
	instance: `load-${process.pid}`,
	selfExe: [process.execPath, new URL("../../daemon/supervisor.ts", import.meta.url).pathname],
	log: silentLogger,
});

beforeAll(async () => {
	makeBusyboxRoot(root);
	await driver.open((exit) => void exits.set(exit.processId, exit));
});
afterEach(async () => {
	for (const { processId } of await driver.list()) await driver.release(processId);
});
afterAll(async () => {
	await driver.close();
	await stopSupervisor(runRoot);
	for (const controller of readdirSync("/sys/fs/cgroup")) {
		try {
			rmdirSync(`/sys/fs/cgroup/${controller}${cgroupParent}`);
		} catch {
			// this hierarchy had none
		}
	}
	rmSync(directory, { recursive: true, force: true });
});

function start(containerId: string, args: string[], io: Partial<ProcessIo> = {}) {
	const bundle = `${directory}/${containerId}`;
	mkdirSync(bundle);
	const spec = testSpec(root, `${cgroupParent}/${containerId}`, args);
	return driver.start({
		containerId,
		runtime: CRUN,
		bundle,
		spec,
		seccomp: SECCOMP,
		io: { tty: false, stdin: false, stdinOnce: false, ...io },
	});
}

const logOf = (name: string) => ({ path: `${directory}/${name}.log`, maxSize: 50_000_000, maxFiles: 2 });

async function until(what: string, ms: number, holds: () => boolean): Promise<void> {
	for (const end = Date.now() + ms; Date.now() < end; await Bun.sleep(5)) if (holds()) return;
	throw new Error(`not so within ${ms} ms: ${what}`);
}

test("a container that floods its log leaves another's exec its round trip", async () => {
	await start("flood", ["yes", "a line of a flood of output"], { log: logOf("flood") });
	await start("calm", ["sleep", "100"]);
	const { process: command } = testSpec(root, "/", ["true"]);
	const times: number[] = [];
	for (let n = 0; n < 20; n++) {
		const execId = `exec${n}`;
		const from = performance.now();
		await driver.exec({
			containerId: "calm",
			execId,
			process: command,
			io: { tty: false, stdin: false, stdinOnce: false },
		});
		await until("the exec ends", 5000, () => exits.has(execId));
		times.push(performance.now() - from);
	}
	expect(times.toSorted((a, b) => a - b)[10]).toBeLessThan(100);
	const flooded = statSync(`${directory}/flood.log`, { throwIfNoEntry: false })?.size ?? 0;
	const rotated = statSync(`${directory}/flood.log.1`, { throwIfNoEntry: false })?.size ?? 0;
	expect(flooded + rotated).toBeGreaterThan(1_000_000);
}, 30_000);

test("an attached client that takes nothing holds its own process back, not another, and lets it on when it goes", async () => {
	const stuck = await driver.attach("stuck", { stdin: false, stdout: true, stderr: true });
	await start("stuck", ["sh", "-c", "head -c 50000000 /dev/zero; head -c 50000000 /dev/zero >&2; exit 4"]);
	await start("free", ["sh", "-c", "head -c 50000000 /dev/zero; exit 5"], { log: logOf("free") });
	await until("the other ends", 20_000, () => exits.has("free"));
	expect(exits.get("free")?.exitCode).toBe(5);
	expect(exits.has("stuck")).toBe(false);
	stuck.destroy();
	await until("it goes on without its client", 20_000, () => exits.has("stuck"));
	expect(exits.get("stuck")?.exitCode).toBe(4);
}, 60_000);

test("50 containers at once: all start, each exit and log line is its own", async () => {
	const names = Array.from({ length: 50 }, (_, n) => `many${n}`);
	await Promise.all(names.map((name, n) => start(name, ["sh", "-c", `echo ${name}; exit ${n}`], { log: logOf(name) })));
	await until("all end", 10_000, () => names.every((name) => exits.has(name)));
	expect(names.map((name) => exits.get(name)?.exitCode)).toEqual(names.map((_, n) => n));
	for (const name of names) expect(await Bun.file(logOf(name).path).text()).toContain(`"log":"${name}\\n"`);
	await Promise.all(names.map((name) => driver.release(name)));
	expect(await driver.list()).toEqual([]);
}, 30_000);
