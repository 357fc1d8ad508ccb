import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../shared/log.ts";
import { pidfdsTell } from "../../sys/linux/exit-witness.ts";
import { runtimeConformance } from "./conformance.ts";
import { createRuntimeDriver, stopSupervisor } from "./create.ts";
import type { ProcessExit, RuntimeCommand, RuntimeDriver } from "./driver.ts";
import { CRUN, makeBusyboxRoot, RUNC, SECCOMP, testSpec } from "./test-bundle.ts";

const directory = mkdtempSync(join(tmpdir(), "rt-"));
const runRoot = `${directory}/run`;
const root = `${directory}/root`;
const cgroupParent = `/foredeck-test-${process.pid}`;
const PIPES = { tty: false, stdin: false, stdinOnce: false };
makeBusyboxRoot(root);

const create = () =>
	createRuntimeDriver({
		runRoot,
		instance: `test-${process.pid}`,
		selfExe: [process.execPath, new URL("../../daemon/supervisor.ts", import.meta.url).pathname],
		log: silentLogger,
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

for (const runtime of [CRUN, RUNC])
	runtimeConformance(`supervisor with ${runtime.family}`, () => ({ create, directory, root, cgroupParent, runtime }));

const supervisorPid = () => Number(readFileSync(`${runRoot}/supervisor.pid`, "utf8").split(" ")[0]);

async function until(what: string, holds: () => boolean): Promise<void> {
	for (let i = 0; i < 1500; i++) {
		if (holds()) return;
		await Bun.sleep(10);
	}
	throw new Error(`not so within 15 s: ${what}`);
}

async function withDriver(use: (driver: RuntimeDriver, exits: ProcessExit[]) => Promise<void>): Promise<void> {
	const driver = create();
	const exits: ProcessExit[] = [];
	await driver.open((exit) => void exits.push(exit));
	try {
		await use(driver, exits);
	} finally {
		for (const { processId } of await driver.list()) await driver.release(processId);
		await driver.close();
	}
}

async function startShell(
	driver: RuntimeDriver,
	containerId: string,
	script: string,
	runtime: RuntimeCommand = CRUN,
): Promise<void> {
	const bundle = `${directory}/${containerId}`;
	mkdirSync(bundle, { recursive: true });
	const spec = testSpec(root, `${cgroupParent}/${containerId}`, ["sh", "-c", script]);
	const log = { path: `${directory}/${containerId}.log`, maxSize: 0, maxFiles: 1 };
	await driver.start({ containerId, runtime, bundle, spec, seccomp: SECCOMP, io: { ...PIPES, log } });
}

test.each([CRUN, RUNC])(
	"the supervisor killed with $family: a new one adopts what runs, logs on, and tells how it ended",
	(runtime) =>
		withDriver(async (driver, exits) => {
			await startShell(driver, "adopted", "for i in $(seq 20); do echo $i; sleep 0.1; done; exit 7", runtime);
			await startShell(driver, "killed", "sleep 100", runtime);
			const { process: exec } = testSpec(root, "", ["sh", "-c", "sleep 1; exit 5"]);
			await driver.exec({ containerId: "adopted", execId: "exec", process: exec, io: PIPES });
			process.kill(supervisorPid(), "SIGKILL");
			expect(await driver.list()).toHaveLength(3);
			await driver.kill("killed", 9);
			await until("all have ended", () => exits.length === 3);
			const codes = Object.fromEntries(exits.map(({ processId, exitCode }) => [processId, exitCode]));
			expect(codes).toEqual({ adopted: 7, exec: 5, killed: 137 });
			const log = `${directory}/adopted.log`;
			const lines = readFileSync(log, "utf8")
				.trimEnd()
				.split("\n")
				.map((line) => (JSON.parse(line) as { log: string }).log);
			rmSync(log);
			expect(lines).toEqual(Array.from({ length: 20 }, (_, i) => `${i + 1}\n`));
		}),
	20_000,
);

test.skipIf(!pidfdsTell(release()))(
	"one that ends while there is no supervisor keeps its exit code",
	() =>
		withDriver(async (driver, exits) => {
			await startShell(driver, "unseen", "trap 'exit 9' USR1; while :; do sleep 0.01; done");
			const [{ pid } = { pid: 0 }] = await driver.list();
			await Bun.sleep(200);
			process.kill(supervisorPid(), "SIGKILL");
			process.kill(pid, "SIGUSR1");
			await until("its end is told", () => exits.length === 1);
			expect(exits).toMatchObject([{ processId: "unseen", exitCode: 9 }]);
		}),
	20_000,
);

test(
	"the supervisor killed: a terminal is held by the daemon, and the next supervisor has it, more than once",
	() =>
		withDriver(async (driver, exits) => {
			const bundle = `${directory}/terminal`;
			mkdirSync(bundle);
			const spec = testSpec(root, `${cgroupParent}/terminal`, ["sh"], true);
			const io = { tty: true, stdin: true, stdinOnce: false };
			await driver.start({ containerId: "terminal", runtime: CRUN, bundle, spec, seccomp: SECCOMP, io });
			for (const number of [1, 2]) {
				process.kill(supervisorPid(), "SIGKILL");
				expect(await driver.list()).toMatchObject([{ processId: "terminal" }]);
				await driver.resize("terminal", 24 + number, 80);
				const stream = await driver.attach("terminal", { stdin: true, stdout: true, stderr: true });
				let output = "";
				stream.on("data", (chunk) => {
					output += String(chunk);
				});
				stream.resume();
				stream.write(`echo $((${number} + 40))\n`);
				await until("the shell has answered", () => output.includes(`\n${number + 40}\r\n`));
				if (number === 2) stream.write("exit 3\n");
				else stream.destroy();
			}
			await until("it has ended", () => exits.length === 1);
			expect(exits).toMatchObject([{ processId: "terminal", exitCode: 3 }]);
		}),
	20_000,
);
