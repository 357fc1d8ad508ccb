import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../shared/log.ts";
import { createRuntimeDriver, stopSupervisor } from "./create.ts";
import type { ProcessExit, ProcessIo, RuntimeDriver } from "./driver.ts";
import { CRUN, makeBusyboxRoot, RUNC, SECCOMP, testSpec } from "./test-bundle.ts";
import { traitsOf } from "./traits.ts";

const directory = mkdtempSync(join(tmpdir(), "rt-spares-"));
const runRoot = `${directory}/run`;
const root = `${directory}/root`;
const cgroupParent = `/foredeck-spares-${process.pid}`;
const PIPES: ProcessIo = { tty: false, stdin: false, stdinOnce: false };

let driver: RuntimeDriver;
let exits: ProcessExit[] = [];
let count = 0;
let container = "";

beforeAll(() => makeBusyboxRoot(root));
afterEach(async () => {
	for (const { processId } of await driver.list()) await driver.release(processId);
	await driver.close();
});
afterAll(async () => {
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

async function exec(args: string[], more: object = {}): Promise<{ output: string; exitCode: number | undefined }> {
	const execId = `e${++count}`;
	const stream = await driver.attach(execId, { stdin: false, stdout: true, stderr: true });
	const { process } = testSpec(root, "/", args);
	let frames: Buffer = Buffer.alloc(0);
	await driver.exec({ containerId: container, execId, process: { ...process, ...more }, io: PIPES });
	for await (const chunk of stream) frames = Buffer.concat([frames, chunk as Buffer]);
	await until(`exit of ${execId}`, () => exits.some(({ processId }) => processId === execId));
	return { output: payload(frames), exitCode: exits.find(({ processId }) => processId === execId)?.exitCode };
}

function payload(frames: Buffer): string {
	if (frames.length < 8) return "";
	const end = 8 + frames.readUInt32BE(4);
	return frames.toString("utf8", 8, end) + payload(frames.subarray(end));
}

/** Pids of runtimes that wait at their FIFO. */
function waiting(): number[] {
	return readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.filter((pid) => read(`/proc/${pid}/cmdline`).includes(`--pid-file\0${runRoot}/spares/`))
		.filter((pid) => threads(pid).some((thread) => /fifo|wait_for_partner/.test(read(`${thread}/wchan`))))
		.map(Number);
}

function threads(pid: string): string[] {
	try {
		return readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}`);
	} catch {
		return [];
	}
}

function read(file: string): string {
	try {
		return readFileSync(file, "utf8");
	} catch {
		return "";
	}
}

async function until(what: string, holds: () => boolean): Promise<void> {
	for (let i = 0; i < 1000; i++) {
		if (holds()) return;
		await Bun.sleep(5);
	}
	throw new Error(`not so within 5 s: ${what}`);
}

async function spare(): Promise<number> {
	let found: number[] = [];
	await until("a runtime waits", () => {
		found = waiting();
		return found.length === 1;
	});
	return found[0] ?? Number.NaN;
}

const WAITING = [CRUN, RUNC].filter(({ family }) => traitsOf(family).waitsForExec);

describe.each(WAITING)("execs that follow each other, with $family:", (runtime) => {
	beforeEach(async () => {
		exits = [];
		driver = createRuntimeDriver({
			runRoot,
			instance: `spares-${process.pid}`,
			selfExe: [process.execPath, new URL("../../daemon/supervisor.ts", import.meta.url).pathname],
			log: silentLogger,
		});
		await driver.open((exit) => void exits.push(exit));
		container = `c${++count}`;
		const bundle = `${directory}/${container}`;
		mkdirSync(bundle);
		const spec = testSpec(root, `${cgroupParent}/${container}`, ["sleep", "100"]);
		await driver.start({ containerId: container, runtime, bundle, spec, seccomp: SECCOMP, io: PIPES });
		// the first of two
		await exec(["true"]);
	});
	test("after one exec alone none waits", async () => {
		await Bun.sleep(100);
		expect(readdirSync(`${runRoot}/spares`)).toEqual([]);
	});

	test("a runtime that waits runs the next exec, as any other would", async () => {
		expect(await exec(["sh", "-c", "echo one; exit 3"])).toEqual({ output: "one\n", exitCode: 3 });
		const first = await spare();
		const wide = "x".repeat(2000);
		const told = await exec(["sh", "-c", 'echo "$WIDE"; echo two >&2; cat; exit 4'], {
			env: ["PATH=/bin", `WIDE=${wide}`],
		});
		expect(told).toEqual({ output: `${wide}\ntwo\n`, exitCode: 4 });
		expect(await spare()).not.toBe(first);
		expect(await exec(["sh", "-c", "ls /proc/self/fd | wc -l"])).toMatchObject({ exitCode: 0, output: "4\n" });
	});

	test("a missing command is told in the same words, and the next exec runs", async () => {
		const words = /executable file not found|no such file or directory/;
		await exec(["true"]);
		await spare();
		await expect(exec(["missing"])).rejects.toThrow(words);
		await spare();
		expect(await exec(["echo", "on"])).toEqual({ output: "on\n", exitCode: 0 });
	});

	test("an exec that a FIFO does not hold, or with another OOM score, has a runtime of its own", async () => {
		await exec(["true"]);
		await spare();
		const env = ["PATH=/bin", `LONG=${"y".repeat(100_000)}`];
		expect(await exec(["sh", "-c", 'echo "$LONG" | wc -c'], { env })).toEqual({ output: "100001\n", exitCode: 0 });
		await spare();
		const score = ["cat", "/proc/self/oom_score_adj"];
		expect(await exec(score, { oomScoreAdj: 70 })).toEqual({ output: "70\n", exitCode: 0 });
		await spare();
		expect(await exec(score, { oomScoreAdj: 70 })).toEqual({ output: "70\n", exitCode: 0 });
	});

	test("an exec does not fail because no other can be prepared", async () => {
		rmSync(`${runRoot}/spares`, { recursive: true });
		try {
			expect(await exec(["echo", "on"])).toEqual({ output: "on\n", exitCode: 0 });
		} finally {
			mkdirSync(`${runRoot}/spares`);
		}
	});

	test("none outlives its container", async () => {
		await exec(["true"]);
		const pid = await spare();
		await driver.release(container);
		await until("it is gone", () => !waiting().includes(pid));
		expect(readdirSync(`${runRoot}/spares`)).toEqual([]);
	});

	test("one that was killed is not waited for", async () => {
		await exec(["true"]);
		const pid = await spare();
		process.kill(pid, "SIGKILL");
		await until("the supervisor has seen it", () => !existsSync(`/proc/${pid}`));
		expect(await exec(["echo", "on"])).toEqual({ output: "on\n", exitCode: 0 });
	});

	test("the next supervisor ends what waited for the one that was killed", async () => {
		await exec(["true"]);
		const pid = await spare();
		process.kill(Number(readFileSync(`${runRoot}/supervisor.pid`, "utf8").split(" ")[0]), "SIGKILL");
		await driver.list();
		await until("it is gone", () => !waiting().includes(pid));
		expect(await exec(["echo", "on"])).toEqual({ output: "on\n", exitCode: 0 });
	});
});
