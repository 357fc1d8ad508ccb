import { expect, test } from "bun:test";
import type { Images } from "./contract.ts";
import { createTestImages } from "./testing/fakes.ts";

const PLATFORM = { os: "linux", architecture: "amd64" };

async function* bytes(text: string): AsyncGenerator<Uint8Array> {
	yield new TextEncoder().encode(text);
}

/** A step over `parent`, with a layer when it has content. */
const step = (images: Images, parent: string | undefined, cacheKey: string, layer?: string) =>
	images.addStep({
		parent,
		layer: layer === undefined ? undefined : bytes(layer),
		config: { Env: ["A=1"] },
		author: "",
		createdBy: `/bin/sh -c ${cacheKey}`,
		platform: PLATFORM,
		cacheKey,
	});

test("a step has its parent's layers and history, and its own", async () => {
	const engine = createTestImages();
	const base = engine.put(["base"], ["base:1"], { history: [{ created_by: "base" }] });
	const images = engine.open();
	const first = await step(images, base, "run", "layer");
	const second = await step(images, first.id, "env");
	expect([first.parent, second.parent]).toEqual([base, first.id]);
	expect([first.chain.length, second.chain]).toEqual([2, first.chain]);
	const history = (second.config.history ?? []).map(({ created_by, empty_layer }) => [created_by, empty_layer]);
	expect(history).toEqual([
		["base", undefined],
		["/bin/sh -c run", undefined],
		["/bin/sh -c env", true],
	]);
	expect((await step(images, undefined, "nothing below")).chain).toEqual([]);
});

test("the newest step of a key over the same parent is found, as long as it is there", async () => {
	const engine = createTestImages();
	const base = engine.put(["base"], ["base:1"]);
	const images = engine.open();
	await step(images, base, "run", "one");
	const newer = await step(images, base, "run", "two");
	const scratch = await step(images, undefined, "run", "three");
	expect(images.findStep(base, "run")?.id).toBe(newer.id);
	expect(images.findStep(undefined, "run")?.id).toBe(scratch.id);
	expect([images.findStep(base, "other"), images.findStep(newer.id, "run")]).toEqual([undefined, undefined]);
	await images.remove(newer.id, { force: false, noPrune: false });
	expect(images.findStep(base, "run")?.id).not.toBe(newer.id);
});

test("steps go with the last image that was built from them; the base, which has a name, stays", async () => {
	const engine = createTestImages();
	const base = engine.put(["base"], ["base:1"]);
	const images = engine.open();
	const first = await step(images, base, "a", "1");
	const second = await step(images, first.id, "b", "2");
	const other = await step(images, first.id, "c", "3");
	images.tag(second.id, "app", "1");
	images.tag(other.id, "app", "2");
	await images.remove("app:1", { force: false, noPrune: false });
	expect(
		images
			.list()
			.map(({ id }) => id)
			.sort(),
	).toEqual([base, first.id, other.id].sort());
	await images.remove("app:2", { force: false, noPrune: false });
	expect(images.list().map(({ id }) => id)).toEqual([base]);
	expect(engine.snapshotter.layers().length).toBe(1);
});

test("an image that others were built from is not deleted, by force neither; by name only the name goes", async () => {
	const engine = createTestImages();
	const base = engine.put(["base"], ["base:1"]);
	const images = engine.open();
	const built = await step(images, base, "a", "1");
	images.tag(built.id, "app", "1");
	for (const force of [false, true]) {
		await expect(images.remove(base, { force, noPrune: false })).rejects.toThrow("image has dependent child images");
	}
	expect(await images.remove("base:1", { force: false, noPrune: false })).toEqual([{ Untagged: "base:1" }]);
	expect(images.list().length).toBe(2);
});

test("prune leaves the steps of images with names, and takes those of others", async () => {
	const used = new Set<string>();
	const engine = createTestImages({ users: (id) => (used.has(id) ? [{ id: "a build", running: true }] : []) });
	const base = engine.put(["base"], ["base:1"]);
	const images = engine.open();
	const kept = await step(images, base, "a", "1");
	const named = await step(images, kept.id, "b");
	images.tag(named.id, "app", "1");
	const dangling = await step(images, (await step(images, base, "c", "2")).id, "d");
	const prune = () => images.prune({ danglingOnly: true, accepts: () => true });
	used.add(dangling.id);
	expect((await prune()).deleted).toEqual([]);
	used.clear();
	expect((await prune()).reclaimed).toBe(1);
	expect(
		images
			.list()
			.map(({ id }) => id)
			.sort(),
	).toEqual([base, kept.id, named.id].sort());
});
