import { expect, test } from "bun:test";
import tar from "tar-stream";
import { createTestImages, fakeContent } from "./testing/fakes.ts";

async function unpack(bytes: Uint8Array): Promise<Record<string, Uint8Array>> {
	const extract = tar.extract();
	extract.end(bytes);
	const files: Record<string, Uint8Array> = {};
	for await (const entry of extract)
		files[entry.header.name] = Buffer.concat((await Array.fromAsync(entry)) as Uint8Array[]);
	return files;
}

const read = async (body: AsyncIterable<Uint8Array>) => Buffer.concat(await Array.fromAsync(body));

test("what is saved loads elsewhere with equal ids and tags; saving twice gives the same bytes", async () => {
	const engine = createTestImages();
	const one = engine.put(["base", "one"], ["app:1", "app:2", "other:1"]);
	const two = engine.put(["base", "two"], ["two:1"]);
	const images = engine.open();
	const bytes = await read(images.save(["app", "two:1", two.slice(7)], {}));
	expect(await read(images.save(["app", "two:1", two.slice(7)], {}))).toEqual(bytes);
	const files = await unpack(bytes);
	expect(Object.keys(files).length).toBe(4 + 2 * 2 + 3);
	const target = createTestImages({ content: fakeContent(files) });
	const before = target.put(["other"], ["app:1"]);
	const lines = await Array.fromAsync(target.open().load(images.save([], {}), { quiet: true }));
	expect(lines).toEqual([
		{ stream: `The image app:1 already exists, renaming the old one with ID ${before} to empty string\n` },
		{ stream: "Loaded image: app:1\n" },
		{ stream: "Loaded image: app:2\n" },
		{ stream: "Loaded image: two:1\n" },
	]);
	expect(target.store.list().map(({ id, references }) => [id, references])).toEqual([
		[before, []],
		[one, ["app:1", "app:2"]],
		[two, ["two:1"]],
	]);
});

test("documents are docker's: index, manifest list and repositories name the same things", async () => {
	const engine = createTestImages();
	const id = engine.put(["base"], ["reg:5/app:1"]);
	const files = await unpack(await read(engine.open().save(["reg:5/app:1"], {})));
	const json = (name: string) => JSON.parse(new TextDecoder().decode(files[name]));
	const [listed] = json("manifest.json");
	const [entry] = json("index.json").manifests;
	expect(listed).toMatchObject({ Config: `blobs/${id.replace(":", "/")}`, RepoTags: ["reg:5/app:1"] });
	expect(entry.annotations).toEqual({
		"io.containerd.image.name": "reg:5/app:1",
		"org.opencontainers.image.ref.name": "1",
	});
	const manifest = json(`blobs/${entry.digest.replace(":", "/")}`);
	expect(manifest.layers.map((layer: { digest: string }) => `blobs/${layer.digest.replace(":", "/")}`)).toEqual(
		listed.Layers,
	);
	expect(new TextDecoder().decode(files[listed.Layers[0]])).toBe("base");
	expect(Object.keys(json("repositories"))).toEqual(["reg:5/app"]);
});

test("one image that is missing, or of another platform, refuses all at once", () => {
	const engine = createTestImages();
	engine.put(["base"], ["app:1"]);
	const images = engine.open();
	expect(() => images.save(["app:1", "nope"], {})).toThrow("No such image: nope");
	expect(() => images.save(["app:1"], { platform: "linux/arm64" })).toThrow("does not match the specified platform");
});

test("an archive given up in the middle lets its layers go", async () => {
	const engine = createTestImages();
	engine.put(["x".repeat(100_000)], ["app:1"]);
	const images = engine.open();
	for await (const _chunk of images.save(["app:1"], {})) break;
	expect((await images.prune({ danglingOnly: false, accepts: () => true })).reclaimed).toBe(100_000);
});
