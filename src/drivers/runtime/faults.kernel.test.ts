import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmdirSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../shared/log.ts";
import { createRuntimeDriver, stopSupervisor } from "./create.ts";
import type { ProcessExit, ProcessIo, RuntimeDriver, RuntimeFamily } from "./driver.ts";
import { CRUN, makeBusyboxRoot, RUNC, SECCOMP, testSpec } from "./test-bundle.ts";

const directory = mkdtempSync(join(tmpdir(), "rt-faults-"));
/** Longer than any socket path may be. */
const runRoot = `${directory}/${"long-".repeat(24)}/run`;
const root = `${directory}/root`;
const cgroupParent = `/foredeck-faults-${process.pid}`;
const PIPES: ProcessIo = { tty: false, stdin: false, stdinOnce: false };
const id = (name: string) => name.padEnd(64, "0");

/** A runtime that waits before or after it has done its work, when the id says so; a file named for the id tells that it waits. */
const slow = (path: string) => `#!/bin/sh
for id; do :; done
case $id in
	before*) touch ${directory}/$id; sleep 0.5; exec ${path} "$@" ;;
	after*) ${path} "$@"; code=$?; touch ${directory}/$id; sleep 0.5; exit $code ;;
	*) exec ${path} "$@" ;;
esac
`;

let driver: RuntimeDriver;
let family: RuntimeFamily = "crun";
let exits: ProcessExit[] = [];

function create(): RuntimeDriver {
	return createRuntimeDriver({
		runRoot,
		instance: `faults-${process.pid}`,
		selfExe: [process.execPath, new URL("../../daemon/supervisor.ts", import.meta.url).pathname],
		log: silentLogger,
	});
}

beforeAll(() => {
	makeBusyboxRoot(root);
	for (const { path, family } of [CRUN, RUNC]) {
		writeFileSync(`${directory}/${family}`, slow(path));
		chmodSync(`${directory}/${family}`, 0o755);
	}
	mkdirSync(runRoot, { recursive: true });
});
beforeEach(async () => {
	for (const each of readdirSync(directory))
		if (/0000$/.test(each)) rmSync(`${directory}/${each}`, { recursive: true });
	exits = [];
	driver = create();
	await driver.open((exit) => void exits.push(exit));
});
afterEach(async () => {
	for (const { processId } of await driver.list()) await driver.release(processId);
	await driver.close();
});
afterAll(async () => {
	await stopSupervisor(runRoot);
	for (const path of cgroups("")) removeQuietly(path);
	rmSync(directory, { recursive: true, force: true });
});

function start(containerId: string, args: string[], io: Partial<ProcessIo> = {}) {
	const bundle = `${directory}/bundle-${containerId}`;
	mkdirSync(bundle, { recursive: true });
	const spec = testSpec(root, `${cgroupParent}/${containerId}`, args, io.tty);
	const runtime = { ...(family === "crun" ? CRUN : RUNC), path: `${directory}/${family}` };
	return driver.start({ containerId, runtime, bundle, spec, seccomp: SECCOMP, io: { ...PIPES, ...io } });
}

/** The directories of a container's cgroup in every hierarchy. */
function cgroups(containerId: string): string[] {
	return ["", ...readdirSync("/sys/fs/cgroup")]
		.map((controller) => join("/sys/fs/cgroup", controller, cgroupParent, containerId))
		.filter((path) => existsSync(path));
}

function removeQuietly(path: string): void {
	try {
		rmdirSync(path);
	} catch {
		// not empty: the test has failed already
	}
}

function supervisorPid(): number {
	return Number(readFileSync(`${runRoot}/supervisor.pid`, "utf8").split(" ")[0]);
}

async function until(what: string, holds: () => boolean): Promise<void> {
	for (let i = 0; i < 1000; i++) {
		if (holds()) return;
		await Bun.sleep(5);
	}
	throw new Error(`not so within 5 s: ${what}`);
}

/** Nothing of a container is there, and nothing comes. */
async function expectNothing(containerId: string): Promise<void> {
	for (let i = 0; i < 2; i++) {
		expect(cgroups(containerId)).toEqual([]);
		expect(existsSync(`${runRoot}/${family}/${containerId}`)).toBe(false);
		expect(existsSync(`${runRoot}/processes/${containerId}`)).toBe(false);
		await Bun.sleep(i === 0 ? 700 : 0);
	}
}

function cgroupPids(containerId: string): string[] {
	const [path] = cgroups(containerId);
	return readFileSync(`${path}/cgroup.procs`, "utf8").split("\n").filter(Boolean);
}

describe.each([CRUN, RUNC])("with $family:", (runtime) => {
	beforeEach(() => {
		family = runtime.family;
	});

	test("a terminal and an exec's terminal start below a long run root", async () => {
		const containerId = id("long");
		expect(`${runRoot}/processes/${containerId}/console`.length).toBeGreaterThan(107);
		await start(containerId, ["sleep", "100"], { tty: true });
		const stream = await driver.attach(id("exec"), { stdin: false, stdout: true, stderr: true });
		const spec = testSpec(root, "/", ["tty"], true);
		await driver.exec({ containerId, execId: id("exec"), process: spec.process, io: { ...PIPES, tty: true } });
		let output = "";
		for await (const chunk of stream) output += chunk;
		expect(output).toContain("/dev/pts/");
	});

	for (const when of ["before", "after"]) {
		test(`the supervisor killed in a start, ${when} the runtime has run: nothing is left`, async () => {
			const containerId = id(when);
			const started = start(containerId, ["sleep", "100"]);
			const refused = started.catch((error: unknown) => error);
			await until("the runtime waits", () => existsSync(`${directory}/${containerId}`));
			process.kill(supervisorPid(), "SIGKILL");
			expect(await refused).toMatchObject({ code: "unavailable" });
			expect(await driver.list()).toEqual([]);
			await expectNothing(containerId);
			expect(exits).toEqual([]);
		});
	}

	test("the supervisor killed in an exec: its process is killed, the container runs on", async () => {
		const containerId = id("container");
		await start(containerId, ["sleep", "100"]);
		const { process: exec } = testSpec(root, "/", ["sleep", "99"]);
		await driver.exec({ containerId, execId: id("exec"), process: exec, io: PIPES });
		expect(await driver.pids(containerId)).toHaveLength(2);
		// as if it had not yet been written
		rmSync(`${runRoot}/processes/${id("exec")}/record.json`);
		process.kill(supervisorPid(), "SIGKILL");
		expect((await driver.list()).map(({ processId }) => processId)).toEqual([containerId]);
		await until("only the container's process is left", () => cgroupPids(containerId).length === 1);
	});

	test("the daemon killed in a start: its successor lists what runs once the start is through", async () => {
		const containerId = id("after-daemon");
		start(containerId, ["sleep", "100"]).catch(() => {});
		await until("the runtime waits", () => existsSync(`${directory}/${containerId}`));
		await driver.close();
		driver = create();
		await driver.open((exit) => void exits.push(exit));
		const [found, ...others] = await driver.list();
		expect(others).toEqual([]);
		expect(found).toMatchObject({ processId: containerId, containerId });
		expect(found?.exit).toBeUndefined();
		expect(cgroupPids(containerId)).toEqual([String(found?.pid)]);
		await driver.release(containerId);
		await expectNothing(containerId);
	});

	test("input of a client that left before the start is not for a later one", async () => {
		const containerId = id("input");
		const early = await driver.attach(containerId, { stdin: true, stdout: true, stderr: true });
		early.write("from the past\n");
		await Bun.sleep(50);
		early.destroy();
		await Bun.sleep(50);
		const stream = await driver.attach(containerId, { stdin: true, stdout: true, stderr: true });
		await start(containerId, ["head", "-n1"], { stdin: true, stdinOnce: true });
		stream.write("now\n");
		let output = "";
		for await (const chunk of stream) output += chunk;
		expect(output).toContain("now\n");
		expect(output).not.toContain("past");
	});

	test("an exit that cannot be recorded is told all the same", async () => {
		const containerId = id("unrecorded");
		await start(containerId, ["sleep", "0.3"]);
		const record = `${runRoot}/processes/${containerId}/record.json`;
		// as on a full disk: nothing can be written in its place
		mkdirSync(`${record}.new`);
		await until("its exit is told", () => exits.length > 0);
		expect(exits).toMatchObject([{ processId: containerId, exitCode: 0 }]);
	});

	test("a container that runs is not harmed by a second start of it", async () => {
		const containerId = id("twice");
		const { pid } = await start(containerId, ["sleep", "100"]);
		await expect(start(containerId, ["true"])).rejects.toMatchObject({ code: "conflict" });
		expect(await driver.pids(containerId)).toEqual([pid]);
	});

	test("the supervisor killed at any moment of a start: the container is listed or gone", async () => {
		for (const n of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 24, 32, 40, 50, 60]) {
			const containerId = id(`moment${n}-`);
			const started = start(containerId, ["sleep", "100"]).catch(() => {});
			await Bun.sleep(n);
			process.kill(supervisorPid(), "SIGKILL");
			await started;
			const listed = (await driver.list()).filter((found) => found.processId === containerId);
			if (listed.length > 0) await driver.release(containerId);
			expect(cgroups(containerId)).toEqual([]);
			expect(existsSync(`${runRoot}/${family}/${containerId}`)).toBe(false);
		}
	}, 30_000);

	test("what a daemon notes with an exec is given to the next one, also by the next supervisor", async () => {
		const containerId = `note-${process.pid}`;
		await start(containerId, ["sleep", "100"]);
		const process_ = testSpec(root, "", ["sleep", "100"]).process;
		const execId = `${containerId}-exec`;
		await driver.exec({ containerId, execId, process: process_, io: PIPES, note: { Cmd: ["sleep"] } });
		const noted = async () => (await driver.list()).map(({ processId, note, exit }) => ({ processId, note, exit }));
		const expected = [
			{ processId: containerId, note: undefined, exit: undefined },
			{ processId: execId, note: { Cmd: ["sleep"] }, exit: undefined },
		];
		expect((await noted()).sort((a, b) => a.processId.length - b.processId.length)).toEqual(expected);
		process.kill(supervisorPid(), "SIGKILL");
		const list = (await noted()).sort((a, b) => a.processId.length - b.processId.length);
		expect(list).toEqual(expected);
	});
});

test("the run root removed under the supervisor: it is found again, and so is what runs", async () => {
	const containerId = id("removed");
	const { pid } = await start(containerId, ["sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.05; done"]);
	const supervisor = supervisorPid();
	rmSync(runRoot, { recursive: true });
	await until("its socket is there again", () => existsSync(`${runRoot}/supervisor.pid`));
	expect(supervisorPid()).toBe(supervisor);
	await driver.close();
	driver = create();
	await driver.open((exit) => void exits.push(exit));
	expect(await driver.list()).toMatchObject([{ processId: containerId, pid }]);
	await start(id("another"), ["true"]);
	await driver.kill(containerId, 15);
	await until("both have ended", () => exits.length === 2);
	expect(exits.find(({ processId }) => processId === containerId)?.exitCode).toBe(4);
});

test("a container without a record is ended when it is released", async () => {
	const containerId = id("unknown");
	await start(containerId, ["sleep", "100"]);
	rmSync(`${runRoot}/processes/${containerId}`, { recursive: true });
	process.kill(supervisorPid(), "SIGKILL");
	expect(await driver.list()).toEqual([]);
	expect(cgroupPids(containerId)).toHaveLength(1);
	await driver.release(containerId);
	expect(cgroups(containerId)).toEqual([]);
});

test("a terminal that takes no more input holds up nobody else", async () => {
	const containerId = id("deaf");
	await start(containerId, ["sh", "-c", "stty raw -echo; sleep 100"], { tty: true, stdin: true });
	await Bun.sleep(300);
	const stream = await driver.attach(containerId, { stdin: true, stdout: true, stderr: true });
	stream.write("x".repeat(500_000));
	await Bun.sleep(200);
	await start(id("neighbour"), ["true"]);
	await until("the neighbour has ended", () => exits.length === 1);
	await driver.release(containerId);
	await until("the stream has ended", () => stream.destroyed || stream.resume().readableEnded);
});

test("a terminal gets a large paste whole", async () => {
	const containerId = id("paste");
	const stream = await driver.attach(containerId, { stdin: true, stdout: true, stderr: true });
	await start(containerId, ["sh", "-c", "stty raw -echo; echo ready; head -c 300000 | sha256sum"], {
		tty: true,
		stdin: true,
	});
	const paste = Buffer.alloc(300_000, "0123456789abcdefghijklmnopqrstuvwxyz");
	let output = "";
	stream.on("data", (chunk) => {
		output += String(chunk);
	});
	stream.resume();
	await until("it reads", () => output.includes("ready"));
	stream.write(paste);
	await until("it has ended", () => exits.length === 1);
	const sum = new Bun.CryptoHasher("sha256").update(paste).digest("hex");
	await until(`the sum is ${sum}`, () => output.includes(sum));
}, 20_000);
