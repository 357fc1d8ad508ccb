import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../shared/log.ts";
import { runtimeConformance } from "./conformance.ts";
import { createRuntimeDriver, stopSupervisor } from "./create.ts";
import type { ProcessExit } from "./driver.ts";
import { seccompAnnotation } from "./seccomp/annotation.ts";
import { makeBusyboxRoot, testSpec } from "./test-bundle.ts";

const directory = mkdtempSync(join(tmpdir(), "rt-"));
const runRoot = `${directory}/run`;
const root = `${directory}/root`;
const cgroupParent = `/foredeck-test-${process.pid}`;
const annotations = seccompAnnotation("default", []);
makeBusyboxRoot(root);

const create = () =>
	createRuntimeDriver({
		runRoot,
		instance: `test-${process.pid}`,
		selfExe: [process.execPath, new URL("../../daemon/supervisor.ts", import.meta.url).pathname],
		runtimePath: "/usr/bin/crun",
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

runtimeConformance("supervisor with crun", () => ({ create, directory, root, cgroupParent, annotations }));

test("the supervisor killed: a new one adopts what runs, logs on, and the exit is told as 255", async () => {
	const driver = create();
	const exits: ProcessExit[] = [];
	await driver.open((exit) => void exits.push(exit));
	const bundle = `${directory}/adopted`;
	mkdirSync(bundle);
	const path = `${directory}/adopted.log`;
	const spec = testSpec(root, `${cgroupParent}/adopted`, [
		"sh",
		"-c",
		"for i in $(seq 20); do echo $i; sleep 0.1; done",
	]);
	const io = { tty: false, stdin: false, stdinOnce: false, log: { path, maxSize: 0, maxFiles: 1 } };
	await driver.start({ containerId: "adopted", bundle, spec, io });
	process.kill(Number(readFileSync(`${runRoot}/supervisor.pid`, "utf8").split(" ")[0]), "SIGKILL");
	for (let i = 0; i < 1000 && exits.length === 0; i++) await Bun.sleep(10);
	expect(exits).toMatchObject([{ processId: "adopted", exitCode: 255 }]);
	const lines = readFileSync(path, "utf8")
		.trimEnd()
		.split("\n")
		.map((line) => (JSON.parse(line) as { log: string }).log);
	expect(lines).toEqual(Array.from({ length: 20 }, (_, i) => `${i + 1}\n`));
	await driver.release("adopted");
	await driver.close();
}, 20_000);
