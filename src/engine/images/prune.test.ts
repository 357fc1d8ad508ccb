import { expect, test } from "bun:test";
import { digestOf } from "../../oci/digest.ts";
import { Layers, LEASE_MS } from "./layers.ts";
import { createTestImages, fakeBlobs } from "./testing/fakes.ts";

const all = { danglingOnly: false, accepts: () => true };

test("prune deletes what has no tag and no container, and tells the bytes that went", async () => {
	const used = new Set<string>();
	const engine = createTestImages({ users: (id) => (used.has(id) ? [{ id: "c", running: false }] : []) });
	const tagged = engine.put(["base", "tagged"], ["app:1"]);
	engine.put(["base", "only this"], []);
	used.add(engine.put(["in use"], []));
	const images = engine.open();
	const { deleted, reclaimed } = await images.prune({ ...all, danglingOnly: true });
	expect(deleted.length).toBe(2);
	expect(reclaimed).toBe("only this".length);
	expect(images.list().map((image) => image.tags)).toEqual([["app:1"], []]);
	expect(engine.events.at(-1)).toEqual({ action: "prune", id: "", attributes: { reclaimed: "9" } });
	expect(await images.prune({ danglingOnly: false, accepts: (image) => image.id !== tagged })).toEqual({
		deleted: [],
		reclaimed: 0,
	});
	expect((await images.prune(all)).deleted[0]).toEqual({ Untagged: "app:1" });
	expect(images.list().length).toBe(1);
});

test("prune takes the layers of pulls that were interrupted, not of those under way", async () => {
	const engine = createTestImages();
	engine.put(["app"], ["app:1"]);
	const images = engine.open();
	const [left, running] = [digestOf("left"), digestOf("running")];
	for (const chainId of [left, running]) engine.snapshotter.committed.set(chainId, new Uint8Array(5));
	engine.distribution.lease("image", [left, running], Date.now() + 1000);
	await images.sweep();
	expect(engine.snapshotter.has(left)).toBe(true);
	expect((await images.prune(all)).reclaimed).toBe(10 + "app".length);
	expect(engine.snapshotter.layers()).toEqual([]);
});

test("a layer stays while it is held or leased, and no longer", async () => {
	const engine = createTestImages();
	let now = 0;
	const layers = new Layers({
		snapshotter: engine.snapshotter,
		store: engine.distribution,
		needed: () => [],
		blobs: fakeBlobs(),
		neededBlobs: () => [],
		now: () => now,
	});
	const add = (chainId: string) => void engine.snapshotter.committed.set(chainId, new Uint8Array(1));
	for (const chainId of ["a", "b"]) add(chainId);
	const [first, second] = [layers.hold(["a"]), layers.hold(["a"])];
	await first[Symbol.asyncDispose]();
	expect(await layers.sweep()).toEqual(["b"]);
	await second[Symbol.asyncDispose]();
	expect(engine.snapshotter.has("a")).toBe(false);

	add("c");
	await layers.lease("image", ["c"])[Symbol.asyncDispose]();
	now = LEASE_MS - 1;
	expect(await layers.sweep()).toEqual([]);
	now = LEASE_MS;
	expect(await layers.sweep()).toEqual(["c"]);
});

test("shared sizes count the layers that another image has too; the total counts each layer once", () => {
	const engine = createTestImages();
	const one = engine.put(["base", "one"], ["one:1"]);
	const two = engine.put(["base", "second"], ["two:1"]);
	const alone = engine.put(["alone"], []);
	const { sharedSizes, layersSize } = engine.open().usage();
	expect([one, two, alone].map((id) => sharedSizes.get(id))).toEqual([4, 4, 0]);
	expect(layersSize).toBe("baseonesecondalone".length);
});

test("an image of another platform is not found, in docker's words", () => {
	const engine = createTestImages();
	engine.put(["x"], ["app:1"], { architecture: "arm64" });
	const images = engine.open();
	images.requirePlatform("app:1", "linux/arm64/v8");
	expect(() => images.requirePlatform("app:1", "linux/amd64")).toThrow(
		"image with reference app:1 was found but its platform (linux/arm64) does not match the specified platform (linux/amd64)",
	);
});
