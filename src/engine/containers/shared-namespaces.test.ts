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

test("IPC of a shareable container is joined with its /dev/shm; a private one's is refused", async () => {
	await using engine = createTestEngine();
	await engine.open();
	const create = async (name: string, IpcMode: string) => {
		const host = hostConfig({ IpcMode, ShmSize: 1 << 20 });
		return (await engine.containers.create({ name, config: containerConfig(), hostConfig: host })).id;
	};
	const lastStart = () => {
		const { linux, mounts } = engine.runtime.started.at(-1)?.spec ?? {};
		return {
			ipc: linux?.namespaces.find(({ type }) => type === "ipc"),
			shm: mounts?.find(({ destination }) => destination === "/dev/shm"),
		};
	};
	const donor = await create("donor", "shareable");
	const joining = await create("joining", "container:donor");
	const chained = await create("chained", "container:joining");
	await expect(engine.containers.start(joining)).rejects.toThrow(
		`failed to join IPC namespace: container ${donor} is not running`,
	);
	await engine.containers.start(donor);
	const [[directory, bytes] = ["", 0]] = engine.stage.shared;
	expect([directory.endsWith(`/containers/${donor}/mounts/shm`), bytes]).toEqual([true, 1 << 20]);
	expect(lastStart()).toMatchObject({ ipc: { type: "ipc" }, shm: { type: "bind", source: directory } });
	for (const id of [joining, chained]) {
		await engine.containers.start(id);
		expect(lastStart().ipc?.path).toMatch(/^\/proc\/\d+\/ns\/ipc$/);
		expect(lastStart().shm).toMatchObject({ type: "bind", source: directory });
	}
	engine.runtime.exit(donor, 0);
	for (let i = 0; i < 50 && engine.stage.shared.size > 0; i++) await Bun.sleep(1);
	expect(engine.stage.shared.size).toBe(0);

	const alone = await create("alone", "private");
	await engine.containers.start(alone);
	expect(lastStart().shm).toMatchObject({ type: "tmpfs" });
	const refused = await create("refused", "container:alone");
	await expect(engine.containers.start(refused)).rejects.toThrow(`container ${alone}: non-shareable IPC`);
	await expect(create("none", "container:")).rejects.toThrow('invalid name or ID supplied: ""');
});
