import { expect, test } from "bun:test";
import { containerConfig, createTestEngine, hostConfig } from "./testing/fakes.ts";

test("container: joins the pid namespace of one that runs, stored by its id, and refuses else", async () => {
	await using engine = createTestEngine();
	await engine.open();
	const create = async (name: string, PidMode: string) =>
		(await engine.containers.create({ name, config: containerConfig(), hostConfig: hostConfig({ PidMode }) })).id;
	const first = await create("first", "");
	const second = await create("second", "container:first");
	expect(engine.containers.inspect(second).hostConfig.PidMode).toBe(`container:${first}`);
	await expect(engine.containers.start(second)).rejects.toThrow(
		`failed to join PID namespace: container ${first} is not running`,
	);
	await engine.containers.start(first);
	await engine.containers.start(second);
	const { state } = engine.containers.inspect(first);
	const pid = "pid" in state ? state.pid : 0;
	const spec = engine.runtime.started.at(-1)?.spec;
	expect(spec?.linux.namespaces).toContainEqual({ type: "pid", path: `/proc/${pid}/ns/pid` });
	await expect(create("third", "container:nobody")).rejects.toThrow("No such container: nobody");
});

test("IPC mode none has no /dev/shm", async () => {
	await using engine = createTestEngine();
	await engine.open();
	const { id } = await engine.containers.create({
		config: containerConfig(),
		hostConfig: hostConfig({ IpcMode: "none" }),
	});
	await engine.containers.start(id);
	const mounts = engine.runtime.started.at(-1)?.spec.mounts.map(({ destination }) => destination);
	expect(mounts).not.toContain("/dev/shm");
	expect(mounts).toContain("/dev/mqueue");
});
