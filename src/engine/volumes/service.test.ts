import { expect, test } from "bun:test";
import { createTestVolumes } from "./testing/fakes.ts";

const A = "a".repeat(64);
const B = "b".repeat(64);
const use = (name: string) => ({ name, destination: "/data", writable: true });

test("create() makes a volume once; the same name gives the first one as it is", async () => {
	const { volumes, driver, seen } = createTestVolumes();
	const first = await volumes.create({ name: "data", labels: { a: "1" }, options: { type: "tmpfs", device: "tmpfs" } });
	expect(first).toMatchObject({ name: "data", driver: "local", labels: { a: "1" }, mountpoint: "/volumes/data/_data" });
	expect(first.created).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
	expect(await volumes.create({ name: "data", labels: { b: "2" } })).toEqual(first);
	expect(driver.found()).toEqual(["data"]);
	expect(seen).toEqual(["create data"]);
});

test("create() without a name makes an anonymous one, labelled as docker does", async () => {
	const { volumes } = createTestVolumes();
	const made = await volumes.create({ name: "", labels: { a: "1" } });
	expect(made.name).toMatch(/^[0-9a-f]{64}$/);
	expect(made.labels).toEqual({ a: "1", "com.docker.volume.anonymous": "" });
});

test.each([
	["a", undefined, {}, "create a: volume name is too short, names should be at least two alphanumeric characters"],
	["a/b", undefined, {}, 'create a/b: "a/b" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a'],
	[".ab", undefined, {}, 'create .ab: ".ab" includes invalid characters'],
	["x".repeat(256), undefined, {}, "file name too long"],
	["ab", "flocker", {}, 'create ab: error looking up volume plugin flocker: plugin "flocker" not found'],
	["ab", "local", { bad: "" }, 'create ab: invalid option: "bad"'],
])("create() refuses %p by driver %p in docker's words, and makes nothing", async (name, driver, options, text) => {
	const made = createTestVolumes();
	expect(made.volumes.create({ name, driver, options })).rejects.toThrow(text);
	await Promise.resolve();
	expect([made.volumes.list(), made.driver.found(), made.seen]).toEqual([[], [], []]);
});

test("remove() is refused while a container has the volume, forced or not", async () => {
	const { volumes, seen } = createTestVolumes();
	await volumes.hold(A, { name: "data" });
	await volumes.hold(B, { name: "data" });
	const inUse = `remove data: volume is in use - [${A}, ${B}]`;
	for (const force of [false, true]) {
		const error = await volumes.remove("data", { force }).catch((thrown) => thrown);
		expect([error.code, error.message]).toEqual(["conflict", inUse]);
	}
	expect(volumes.users("data")).toEqual([A, B]);
	await volumes.drop(A);
	await volumes.drop(B);
	await volumes.remove("data", { force: false });
	expect(seen).toEqual(["create data", "destroy data"]);
	expect(volumes.remove("data", { force: false })).rejects.toThrow("get data: no such volume");
	await volumes.remove("data", { force: true });
});

test("drop() takes the volumes asked for along, unless another container has them", async () => {
	const { volumes, driver } = createTestVolumes();
	for (const name of ["own", "shared", "kept"]) await volumes.hold(A, { name });
	await volumes.hold(B, { name: "shared" });
	await volumes.drop(A, ["own", "shared"]);
	expect(driver.removed).toEqual(["own"]);
	expect(volumes.list().map(({ name }) => name)).toEqual(["shared", "kept"]);
});

test("prune() removes what no container has and the filter accepts, and tells the bytes", async () => {
	const { volumes, driver, seen } = createTestVolumes();
	for (const name of ["used", "free", "other"]) await volumes.create({ name });
	await volumes.hold(A, { name: "used" });
	driver.content.set("free", ["1", "2", "3"]);
	expect(await volumes.prune(({ name }) => name !== "other")).toEqual({ deleted: ["free"], reclaimed: 3 });
	expect(volumes.list().map(({ name }) => name)).toEqual(["used", "other"]);
	expect(seen.slice(-2)).toEqual(["destroy free", "prune"]);
});

test("a volume with options is mounted at its first use and unmounted at its last", async () => {
	const { volumes, driver, seen } = createTestVolumes();
	await volumes.create({ name: "ram", options: { type: "tmpfs", device: "tmpfs" } });
	await volumes.mount(A, [use("ram")]);
	await volumes.mount(B, [use("ram")]);
	volumes.unmount(A);
	expect(driver.isMounted("ram")).toBe(true);
	volumes.unmount(B);
	volumes.unmount(B);
	expect(driver.isMounted("ram")).toBe(false);
	expect(seen).toEqual(["create ram", "mount ram", "mount ram", "unmount ram", "unmount ram"]);
});

test("mount() that fails half-way undoes what it had mounted, and publishes nothing", async () => {
	const { volumes, driver, seen } = createTestVolumes();
	const options = { type: "tmpfs", device: "tmpfs" };
	await volumes.create({ name: "one", options });
	await volumes.create({ name: "two", options });
	const mount = driver.mount.bind(driver);
	driver.mount = async (name, asked) =>
		name === "two" ? Promise.reject(new Error("no such device")) : mount(name, asked);
	expect(volumes.mount(A, [use("one"), use("two")])).rejects.toThrow("no such device");
	await Bun.sleep(1);
	expect(driver.isMounted("one")).toBe(false);
	expect(seen).toEqual(["create one", "create two"]);
});

test("populate() fills an empty volume once, mounted for the time when no container has it mounted", async () => {
	const { volumes, driver } = createTestVolumes();
	await volumes.create({ name: "ram", options: { type: "tmpfs", device: "tmpfs" } });
	expect(volumes.wantsContent("ram")).toBe(true);
	expect(await volumes.populate("ram", { root: "/r", path: "/etc" })).toBe("copied");
	expect([driver.content.get("ram"), driver.isMounted("ram")]).toEqual([["/etc"], false]);
	await volumes.create({ name: "full" });
	driver.content.set("full", ["x"]);
	expect(volumes.wantsContent("full")).toBe(false);
});

test("open() after a crash: finishes removals, makes what containers were promised, adopts directories, lets stale mounts go", async () => {
	const before = createTestVolumes();
	const { store, driver } = before;
	for (const name of ["gone", "lost", "ram"]) {
		await before.volumes.create({ name, options: name === "ram" ? { type: "tmpfs", device: "tmpfs" } : null });
	}
	store.markRemoving("gone");
	driver.content.delete("lost");
	driver.content.set("found", ["x"]);
	driver.mounted.add("ram");
	const { volumes, seen } = createTestVolumes({ store, driver });
	await volumes.open([
		{ containerId: A, requests: [{ name: "promised", labels: { a: "1" } }], mounted: [] },
		{ containerId: B, requests: [{ name: "lost" }], mounted: [use("lost")] },
	]);
	expect(volumes.list().map(({ name }) => name)).toEqual(["lost", "ram", "found", "promised"]);
	expect(driver.removed).toEqual(["gone"]);
	expect(driver.found()).toContain("lost");
	expect(driver.isMounted("ram")).toBe(false);
	expect(volumes.inspect("promised").labels).toEqual({ a: "1" });
	expect(volumes.users("lost")).toEqual([B]);
	volumes.unmount(B);
	expect(seen).toEqual(["destroy gone", "create promised", "unmount lost"]);
});

test("usage() has bytes and the number of containers", async () => {
	const { volumes, driver } = createTestVolumes();
	await volumes.hold(A, { name: "data" });
	driver.content.set("data", ["1", "2"]);
	expect(await volumes.usage()).toMatchObject([{ volume: { name: "data" }, size: 2, references: 1 }]);
});
