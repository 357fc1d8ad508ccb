import { expect, test } from "bun:test";
import { EngineError } from "../../shared/errors.ts";
import type { Runtimes } from "./runtimes.ts";
import { containerConfig, createTestEngine, hostConfig, type TestEngine } from "./testing/fakes.ts";

/** Both known; what is not installed is an error. */
function runtimes(defaultName: string, installed: string[]): Runtimes {
	return {
		defaultName,
		has: (name) => ["crun", "runc"].includes(name),
		find: async (name) => {
			if (!["crun", "runc"].includes(name))
				throw new EngineError("invalid", `unknown or invalid runtime name: ${name}`);
			if (!installed.includes(name)) throw new EngineError("internal", `OCI runtime "${name}" is not installed`);
			return { path: `/usr/bin/${name}`, args: [], family: name === "runc" ? "runc" : "crun" };
		},
	};
}

async function make(engine: TestEngine, name: string, Runtime?: string): Promise<string> {
	const asked = hostConfig(
		Runtime === undefined ? {} : { Runtime, RestartPolicy: { Name: "always", MaximumRetryCount: 0 } },
	);
	return (await engine.containers.create({ name, config: containerConfig(), hostConfig: asked })).id;
}

test("a container is run by the runtime it names, or by what was the default when it was made", async () => {
	await using engine = createTestEngine({ runtimes: runtimes("crun", ["crun", "runc"]) });
	await engine.open();
	for (const [name, runtime] of [
		["web", undefined],
		["db", "runc"],
	] as const) {
		await make(engine, name, runtime);
		await engine.containers.start(name);
	}
	expect(engine.runtime.started.map(({ runtime }) => runtime.family)).toEqual(["crun", "runc"]);
	const other = createTestEngine({ keep: engine, runtimes: runtimes("runc", ["crun", "runc"]) });
	await other.open();
	expect(["web", "db"].map((name) => other.containers.inspect(name).hostConfig.Runtime)).toEqual(["crun", "runc"]);
	await other.close();
});

test("a runtime that is not known is refused, and nothing is made", async () => {
	await using engine = createTestEngine({ runtimes: runtimes("crun", ["crun"]) });
	await engine.open();
	await expect(make(engine, "web", "nosuch")).rejects.toMatchObject({
		code: "invalid",
		message: "unknown or invalid runtime name: nosuch",
	});
	expect(engine.containers.list()).toEqual([]);
});

test("a runtime that has gone fails the start before anything is acquired, and the next daemon starts all the same", async () => {
	await using engine = createTestEngine({ runtimes: runtimes("crun", ["crun"]) });
	await engine.open();
	const id = await make(engine, "web", "runc");
	await expect(engine.containers.start(id)).rejects.toThrow('OCI runtime "runc" is not installed');
	expect(engine.containers.inspect(id).state).toMatchObject({ exitCode: 128 });
	expect(engine.snapshotter.mounted.size).toBe(0);
	const next = createTestEngine({ keep: engine, runtimes: runtimes("crun", ["crun"]) });
	await next.open();
	await make(next, "db");
	await next.containers.start("db");
	await next.close();
});

test("containers of earlier versions ran with crun", async () => {
	await using engine = createTestEngine();
	await engine.open();
	const id = await make(engine, "web");
	const record = engine.store.get(id);
	if (!record) throw new Error("no record");
	const { Runtime: _, ...before } = record.hostConfig;
	engine.store.put({ ...record, hostConfig: before });
	const next = createTestEngine({ keep: engine, runtimes: runtimes("runc", ["crun", "runc"]) });
	await next.open();
	expect(next.containers.inspect(id).hostConfig.Runtime).toBe("crun");
	await next.close();
});
