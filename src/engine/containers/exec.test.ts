import { expect, test } from "bun:test";
import { containerConfig, createTestEngine, execConfig, hostConfig, type TestEngine } from "./testing/fakes.ts";

async function runningContainer(engine: TestEngine): Promise<string> {
	const { id } = await engine.containers.create({ config: containerConfig(), hostConfig: hostConfig() });
	await engine.containers.start(id);
	return id;
}

test("the end of an attached exec's stream waits for its exit code", async () => {
	await using engine = createTestEngine();
	await engine.open();
	const id = await runningContainer(engine);
	const exec = await engine.execs.create(id, execConfig());
	const { stream, ended } = await engine.execs.start(exec.id, { tty: false });
	let known = false;
	const end = ended?.then(() => {
		known = true;
	});
	// The supervisor dies: its stream ends, the process may go on.
	stream.destroy();
	await Bun.sleep(1);
	expect(known).toBe(false);
	engine.runtime.exit(exec.id, 255);
	await end;
	expect(engine.execs.inspect(exec.id).state).toMatchObject({ status: "exited", exitCode: 255 });
});

test("an exec has the limits of its container's first process", async () => {
	await using engine = createTestEngine();
	await engine.open();
	const limited = hostConfig({ OomScoreAdj: 100, Ulimits: [{ Name: "nofile", Soft: 10, Hard: 20 }] });
	const { id } = await engine.containers.create({ config: containerConfig(), hostConfig: limited });
	await engine.containers.start(id);
	const exec = await engine.execs.create(id, execConfig());
	await engine.execs.startDetached(exec.id, { tty: false });
	const limits = { oomScoreAdj: 100, rlimits: [{ type: "RLIMIT_NOFILE", soft: 10, hard: 20 }] };
	expect(engine.runtime.started.at(-1)?.spec.process).toMatchObject(limits);
	expect(engine.runtime.execs.at(-1)?.process).toMatchObject(limits);
});

test.each([
	[{ WorkingDir: "tmp" }, "OCI runtime exec failed: exec failed: Cwd must be an absolute path"],
	[{ Env: ["=x"] }, "OCI runtime exec failed: exec failed: unable to start container process: invalid environment"],
])("an exec that the runtime would refuse ends as docker's does: %j", async (config, text) => {
	await using engine = createTestEngine();
	await engine.open();
	const id = await runningContainer(engine);
	const exec = await engine.execs.create(id, execConfig(config));
	await expect(engine.execs.startDetached(exec.id, { tty: false })).rejects.toThrow(text);
	expect(engine.execs.inspect(exec.id).state).toMatchObject({ status: "exited", exitCode: 128 });
	expect(engine.runtime.started).toHaveLength(1);
});

test("an exec that ends before its start is answered still has its pid", async () => {
	await using engine = createTestEngine();
	await engine.open();
	const exec = await engine.execs.create(await runningContainer(engine), execConfig());
	engine.runtime.quickExit = 4;
	await engine.execs.startDetached(exec.id, { tty: false });
	// The fake runtime's second: the container's is the one before.
	expect(engine.execs.inspect(exec.id).state).toEqual({ status: "exited", exitCode: 4, pid: 101 });
});

test("the next daemon knows execs that run, wait to be started, or ended before it came", async () => {
	await using first = createTestEngine();
	await first.open();
	const id = await runningContainer(first);
	const config = execConfig({ Cmd: ["sleep", "9"], User: "1:1", Privileged: true });
	const [running, quick, created] = [
		await first.execs.create(id, config),
		await first.execs.create(id, config),
		await first.execs.create(id, config),
	];
	for (const exec of [running, quick]) await first.execs.startDetached(exec.id, { tty: false });
	await first.runtime.open(async () => {});
	first.runtime.exit(quick.id, 7);
	const second = createTestEngine({ keep: first });
	await second.open();
	expect(second.execs.inspect(running.id)).toMatchObject({ containerId: id, config, state: { status: "running" } });
	expect(second.execs.inspect(quick.id).state).toMatchObject({ status: "exited", exitCode: 7 });
	expect(second.execs.inspect(created.id)).toMatchObject({ containerId: id, config, state: { status: "created" } });
	expect(second.containers.inspect(id).execIds).toEqual([running.id, created.id]);
	await second.execs.startDetached(created.id, { tty: false });
	second.runtime.exit(created.id, 0);
	expect(second.runtime.released).toContain(quick.id);
	second.runtime.exit(running.id, 3);
	expect(second.execs.inspect(running.id).state).toMatchObject({ status: "exited", exitCode: 3 });
	expect(second.containers.inspect(id).execIds).toEqual([]);
	const third = createTestEngine({ keep: second });
	await third.open();
	expect(third.containers.inspect(id).execIds).toEqual([]);
	await third.close();
	await second.close();
});
