import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import type { HostConfig } from "../config.ts";
import { containerConfig, createTestEngine, hostConfig, type TestEngine } from "../testing/fakes.ts";

async function create(engine: TestEngine, host: Partial<HostConfig> = {}, name = "web"): Promise<string> {
	return (await engine.containers.create({ name, config: containerConfig(), hostConfig: hostConfig(host) })).id;
}

const names = (engine: TestEngine) => engine.volumes.list().map(({ name }) => name);
const mountsOf = (engine: TestEngine) => engine.runtime.started.at(-1)?.spec.mounts ?? [];
const optionsAt = (engine: TestEngine, target: string) =>
	mountsOf(engine).find(({ destination }) => destination === target)?.options;

test("create makes the volumes, and puts the image's content into them from a root mounted for the time", async () => {
	await using engine = createTestEngine({ image: { Volumes: { "/logs": {} } } });
	const id = await create(engine, { Binds: ["data:/data", "plain:/plain:nocopy"] });
	const [data, plain, logs = ""] = names(engine);
	expect([data, plain]).toEqual(["data", "plain"]);
	expect(engine.volumes.inspect(logs).labels).toEqual({ "com.docker.volume.anonymous": "" });
	expect([...engine.volumeDriver.content]).toEqual([
		["data", ["/data"]],
		["plain", []],
		[logs, ["/logs"]],
	]);
	expect(engine.snapshotter.mounted.has(id)).toBe(false);
	expect(engine.volumes.users("data")).toEqual([id]);
});

test("create that fails leaves no anonymous volume and holds none; named ones stay, as docker has it", async () => {
	await using engine = createTestEngine({ image: { Volumes: { "/logs": {} } } });
	engine.volumeDriver.populated = "file";
	const failed = create(engine, { Binds: ["data:/data"] });
	expect(failed).rejects.toThrow("cannot mount volume over existing file, file exists");
	await failed.catch(() => {});
	expect(names(engine)).toEqual(["data"]);
	expect(engine.volumes.users("data")).toEqual([]);
	expect([engine.store.list(), [...engine.snapshotter.prepared]]).toEqual([[], []]);
});

test("start mounts volumes, stages parts and images, and lets the stage go; the end of the run unmounts", async () => {
	await using engine = createTestEngine();
	await engine.open();
	const Mounts: HostConfig["Mounts"] = [
		{ Type: "volume", Source: "data", Target: "/part", ReadOnly: true, VolumeOptions: { Subpath: "a" } },
		{ Type: "image", Source: "app:1", Target: "/image" },
		{ Type: "tmpfs", Target: "/ram", TmpfsOptions: { SizeBytes: 1024 } },
	];
	const id = await create(engine, { Mounts, Tmpfs: { "/t": "exec" } });
	await engine.containers.start(id);
	const at = (target: string) => mountsOf(engine).find(({ destination }) => destination === target);
	expect(at("/part")).toEqual({
		destination: "/part",
		type: "bind",
		source: `/stage/${id}/volumes/data/_data/a`,
		options: ["rbind", "ro", "rro", "rprivate"],
	});
	expect(at("/image")?.source).toBe(`/stage/${id}/${engine.directory}/layers/sha256:base`);
	expect(optionsAt(engine, "/ram")).toEqual(["noexec", "nosuid", "nodev", "size=1024"]);
	expect(optionsAt(engine, "/t")).toEqual(["nosuid", "nodev", "exec"]);
	expect(engine.stage.released).toEqual([id]);
	expect(engine.actions()).toContain("mount");
	await engine.containers.kill(id, "KILL");
	await Bun.sleep(5);
	expect(engine.actions().filter((action) => action === "unmount")).toHaveLength(1);
});

test("read-only reaches what is mounted below where the kernel can; forced it is refused where it cannot", async () => {
	await using engine = createTestEngine();
	const bind = (target: string, options: object) => ({
		Type: "bind" as const,
		Source: engine.directory,
		Target: target,
		ReadOnly: true,
		BindOptions: options,
	});
	const Mounts = [bind("/a", {}), bind("/b", { ReadOnlyNonRecursive: true }), bind("/c", { NonRecursive: true })];
	await engine.containers.start(await create(engine, { Mounts }, "one"));
	expect(optionsAt(engine, "/a")).toEqual(["rbind", "ro", "rro", "rprivate"]);
	expect(optionsAt(engine, "/b")).toEqual(["rbind", "ro", "rprivate"]);
	expect(optionsAt(engine, "/c")).toEqual(["bind", "ro", "rro", "rprivate"]);
	engine.stage.recursiveReadOnly = false;
	await engine.containers.start(await create(engine, { Mounts: [bind("/a", {})] }, "two"));
	expect(optionsAt(engine, "/a")).toEqual(["rbind", "ro", "rprivate"]);
	const forced = await create(engine, { Mounts: [bind("/a", { ReadOnlyForceRecursive: true })] }, "three");
	expect(engine.containers.start(forced)).rejects.toThrow("not supported by this kernel");
});

test("a file is bound read-only without a word of what lies below it", async () => {
	await using engine = createTestEngine();
	const file = `${engine.directory}/file`;
	writeFileSync(file, "");
	await engine.containers.start(await create(engine, { Binds: [`${file}:/file:ro`] }));
	expect(optionsAt(engine, "/file")).toEqual(["rbind", "ro", "rprivate"]);
});

test("propagation needs a mount on the host that takes part", async () => {
	await using engine = createTestEngine();
	const shared = await create(engine, { Binds: [`${engine.directory}:/x:rshared`] }, "shared");
	const slave = await create(engine, { Binds: [`${engine.directory}:/x:rslave`] }, "slave");
	const text = `path ${engine.directory} is mounted on / but it is not a`;
	await expect(engine.containers.start(shared)).rejects.toThrow(`${text} shared mount`);
	await expect(engine.containers.start(slave)).rejects.toThrow(`${text} shared or slave mount`);
	engine.stage.mountInfo = { mountPoint: "/", shared: false, slave: true };
	await engine.containers.start(slave);
	await expect(engine.containers.start(shared)).rejects.toThrow(`${text} shared mount`);
	engine.stage.mountInfo = { mountPoint: "/", shared: true, slave: false };
	await engine.containers.start(shared);
});

test("a start that fails lets go of volumes and stage", async () => {
	await using engine = createTestEngine();
	const id = await create(engine, { Binds: ["data:/data"] });
	engine.runtime.failure = new Error("no runtime");
	await engine.containers.start(id).catch(() => {});
	expect(engine.stage.released).toContain(id);
	expect(engine.actions().filter((action) => action.endsWith("mount"))).toEqual(["mount", "unmount"]);
});

test("remove keeps volumes, -v takes the anonymous ones, and --rm does so by itself", async () => {
	await using engine = createTestEngine({ image: { Volumes: { "/logs": {} } } });
	await engine.open();
	const Binds = ["data:/data"];
	const options = { force: true, volumes: false, link: false };
	await engine.containers.remove(await create(engine, { Binds }), options);
	expect(names(engine)).toHaveLength(2);
	await engine.containers.remove(await create(engine, { Binds }), { ...options, volumes: true });
	expect(names(engine)).toHaveLength(2);
	const id = await create(engine, { Binds, AutoRemove: true });
	await engine.containers.start(id);
	engine.runtime.exit(id, 0);
	await Bun.sleep(10);
	expect([engine.store.get(id), names(engine).length]).toEqual([undefined, 2]);
});

test("an anonymous volume that another container took over outlives its own container", async () => {
	await using engine = createTestEngine({ image: { Volumes: { "/logs": {} } } });
	const first = await create(engine, {}, "first");
	const [name = ""] = names(engine);
	const second = await create(engine, { VolumesFrom: ["first"] }, "second");
	const options = { force: true, volumes: true, link: false };
	await engine.containers.remove(first, options);
	expect(engine.volumes.users(name)).toEqual([second]);
	await engine.containers.remove(second, options);
	expect(names(engine)).toEqual([]);
});

test("a new daemon knows who holds what, and what is mounted", async () => {
	await using engine = createTestEngine();
	const id = await create(engine, { Binds: ["data:/data"] });
	await engine.containers.start(id);
	const next = createTestEngine({ keep: engine });
	await next.open();
	expect(next.volumes.users("data")).toEqual([id]);
	next.runtime.exit(id, 0);
	await Bun.sleep(5);
	expect(next.actions()).toContain("unmount");
	await next.close();
});

test("a record without mounts gets them at its next start: its own directories become anonymous volumes", async () => {
	await using engine = createTestEngine();
	const id = await create(engine);
	const record = engine.store.get(id);
	if (!record) throw new Error("no record");
	const { mounts: _, ...old } = record;
	engine.store.put({ ...old, config: { ...record.config, Volumes: { "/logs/": {} } } });
	const directory = `${engine.directory}/containers/${id}/volumes/0`;
	mkdirSync(directory, { recursive: true });
	writeFileSync(`${directory}/old`, "x");
	engine.volumeDriver.pathOf = (name) => `${engine.directory}/${name}`;
	await engine.containers.start(id);
	const [volume] = engine.volumes.list();
	expect(engine.store.get(id)?.mounts).toMatchObject([{ name: volume?.name, target: "/logs", anonymous: true }]);
	expect(await Bun.file(`${engine.directory}/${volume?.name}/old`).text()).toBe("x");
});

test("a new daemon finishes what a create was at: volumes still empty get the image's content", async () => {
	await using engine = createTestEngine();
	await create(engine, { Binds: ["data:/data", "mine:/mine"] });
	engine.volumeDriver.content.set("data", []);
	engine.volumeDriver.content.set("mine", ["own"]);
	const next = createTestEngine({ keep: engine });
	await next.open();
	expect([...engine.volumeDriver.content]).toEqual([
		["data", ["/data"]],
		["mine", ["own"]],
	]);
	await next.close();
});

test("a path with a NUL byte is refused before anything is made", async () => {
	await using engine = createTestEngine();
	await expect(create(engine, { Binds: ["data:/a\0b"] })).rejects.toThrow("has a NUL byte");
	expect([engine.store.list(), names(engine)]).toEqual([[], []]);
});
