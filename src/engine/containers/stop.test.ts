import { expect, test } from "bun:test";
import type { HostConfig } from "./config.ts";
import { containerConfig, createTestEngine, hostConfig, type TestEngine } from "./testing/fakes.ts";

async function started(engine: TestEngine, host: Partial<HostConfig> = {}): Promise<string> {
	await engine.open();
	const { id } = await engine.containers.create({ config: containerConfig(), hostConfig: hostConfig(host) });
	await engine.containers.start(id);
	return id;
}

const since = (engine: TestEngine) => engine.actions().slice(3);
const ALWAYS = { RestartPolicy: { Name: "always" as const, MaximumRetryCount: 0 } };

test("stop() is told before the end, to each who asked, and though --rm takes the container away", async () => {
	await using engine = createTestEngine();
	const id = await started(engine, { AutoRemove: true });
	engine.runtime.obeys = [9];
	await Promise.all([engine.containers.stop(id, { timeout: 0 }), engine.containers.stop(id, { timeout: 0 })]);
	await Bun.sleep(5);
	const told = since(engine).filter((action) => action !== "kill");
	expect(told).toEqual(["disconnect", "stop", "stop", "die", "destroy"]);
});

test("a signal is told before the end that it brings about, however fast that is", async () => {
	await using engine = createTestEngine();
	const id = await started(engine);
	const kill = engine.runtime.kill.bind(engine.runtime);
	engine.runtime.kill = async (processId, signal) => {
		await kill(processId, signal);
		// the answer comes after the exit
		await Bun.sleep(10);
	};
	await engine.containers.kill(id, "KILL");
	expect(since(engine)).toEqual(["kill", "disconnect", "die"]);
});

test("a paused container that is killed is not told to go on", async () => {
	await using engine = createTestEngine();
	const id = await started(engine);
	await engine.containers.pause(id);
	await engine.containers.kill(id, "KILL");
	expect(since(engine)).toEqual(["pause", "kill", "disconnect", "die"]);
});

test("while a restart is waited for, stop() and restart() tell a stop, kill() nothing", async () => {
	for (const [action, told] of [
		["stop", ["stop"]],
		["kill", []],
		["restart", ["stop", "connect", "start", "restart"]],
	] as const) {
		await using engine = createTestEngine();
		const id = await started(engine, ALWAYS);
		engine.runtime.exit(id, 1);
		await Bun.sleep(5);
		const before = engine.actions().length;
		if (action === "kill") await engine.containers.kill(id, "KILL");
		else await engine.containers[action](id, {});
		expect(engine.actions().slice(before)).toEqual([...told]);
	}
});

test("a start that fails tells that its networks are left, the host's is none to leave", async () => {
	for (const [mode, told] of [
		["bridge", ["create", "disconnect"]],
		["host", ["create"]],
	] as const) {
		await using engine = createTestEngine();
		await engine.open();
		engine.runtime.failure = new Error("no such program");
		const host = hostConfig({ NetworkMode: mode });
		const { id } = await engine.containers.create({ config: containerConfig(), hostConfig: host });
		await expect(engine.containers.start(id)).rejects.toThrow("no such program");
		expect(engine.actions()).toEqual([...told]);
	}
});

test.each([
	["TERM", {}, "running"],
	["HUP", {}, "paused"],
	["USR1", { StopSignal: "USR1" }, "running"],
])("a paused container goes on when it is told to stop, and ignores it (%s)", async (signal, config, status) => {
	await using engine = createTestEngine();
	await engine.open();
	const { id } = await engine.containers.create({ config: containerConfig(config), hostConfig: hostConfig() });
	await engine.containers.start(id);
	await engine.containers.pause(id);
	await engine.containers.kill(id, signal);
	expect(engine.containers.inspect(id).state.status).toBe(status as "running");
	expect(engine.actions().includes("unpause")).toBe(status === "running");
});
