import { beforeEach, expect, test } from "bun:test";
import tar from "tar-stream";
import { digestOf } from "../../oci/digest.ts";
import { EngineError } from "../../shared/errors.ts";
import type { ImagesEngine } from "./service.ts";
import { FakeRegistry, INDEX_TYPE, MANIFEST_TYPE } from "./testing/fake-registry.ts";
import { createTestImages, fakeBlobs, fakeContent } from "./testing/fakes.ts";

const APP = "reg:5/app:1";
let registry: FakeRegistry;
let blobs: ReturnType<typeof fakeBlobs>;
let engine: ReturnType<typeof createTestImages>;
let images: ImagesEngine;
/** Digests of the index and of its two images' configurations. */
let index = "";
let amd = "";
let arm = "";

beforeEach(async () => {
	registry = new FakeRegistry();
	blobs = fakeBlobs();
	engine = createTestImages({ registry, blobs });
	images = engine.open();
	const one = await registry.putImage("app", "amd", ["base", "amd"]);
	const two = await registry.putImage("app", "arm", ["base", "arm"], { architecture: "arm64", variant: "v8" });
	const proof = await registry.putImage("app", "proof", ["proof"], { architecture: "unknown", os: "unknown" });
	const entry = ({ digest, size }: typeof one, platform: object) => ({
		mediaType: MANIFEST_TYPE,
		digest,
		size,
		platform,
	});
	const annotations = {
		"vnd.docker.reference.type": "attestation-manifest",
		"vnd.docker.reference.digest": one.digest,
	};
	index = await registry.putIndex("app", "1", [
		entry(one, { os: "linux", architecture: "amd64" }),
		entry(two, { os: "linux", architecture: "arm64", variant: "v8" }),
		{ ...entry(proof, { os: "unknown", architecture: "unknown" }), annotations },
	]);
	[amd, arm] = [one.id, two.id];
	for (const tag of ["amd", "arm", "proof"]) registry.manifests.delete(`app:${tag}`);
});

const pull = (platform = "all", tag = "1") => Array.fromAsync(images.pull("reg:5/app", { tag, platform }));
const bytesOf = async (body: AsyncIterable<Uint8Array>) => Buffer.concat(await Array.fromAsync(body));
const namesOf = (platform: string) => images.resolvePlatform(APP, platform).id;

async function unpack(bytes: Uint8Array): Promise<Record<string, Uint8Array>> {
	const extract = tar.extract();
	extract.end(bytes);
	const files: Record<string, Uint8Array> = {};
	for await (const entry of extract)
		files[entry.header.name] = Buffer.concat((await Array.fromAsync(entry)) as Uint8Array[]);
	return files;
}

test("all platforms of an index are kept, one is unpacked, and nothing is fetched twice", async () => {
	await pull();
	expect(images.resolve(APP)).toMatchObject({ id: amd, digests: [`reg:5/app@${index}`] });
	expect(engine.snapshotter.committed.size).toBe(2);
	const kept = images.keptManifests(amd);
	expect(kept.map(({ platform, imageId }) => [platform?.architecture, imageId])).toMatchObject([
		["amd64", amd],
		["arm64", arm],
		["unknown", kept[2]?.imageId],
	]);
	expect(kept[2]?.attestationFor).toBe(kept[0]?.digest ?? "");
	expect([namesOf("linux/amd64"), namesOf("linux/arm64")]).toEqual([amd, arm]);
	expect(() => namesOf("linux/s390x")).toThrow("does not match the specified platform");
	expect(images.history(APP, "linux/arm64")).toEqual([]);
	const asked = registry.calls.filter(([what]) => what === "blob").length;
	expect((await pull()).at(-1)).toEqual({ status: `Status: Image is up to date for ${APP}` });
	await pull("linux/arm64");
	expect(registry.calls.filter(([what]) => what === "blob").length).toBe(asked);
	expect([images.resolve(APP).id, engine.parts.kept.indexOf(APP)]).toEqual([arm, index]);
	expect(engine.distribution.leases()).toEqual([]);
});

test("a kept index is pushed as it came: whole, or one platform of it", async () => {
	await pull();
	images.tag(APP, "far:6/copy", "2");
	const lines = await Array.fromAsync(images.push("far:6/copy", { tag: "2" }));
	expect(lines.at(-1)).toMatchObject({ aux: { Tag: "2", Digest: index } });
	for (const digest of blobs.list()) {
		const isThere = registry.blobs.get("copy")?.has(digest) || registry.manifests.has(`copy:${digest}`);
		expect([digest, isThere]).toEqual([digest, true]);
	}
	expect(images.resolve(`far:6/copy@${index}`).id).toBe(amd);
	await Array.fromAsync(images.push("far:6/copy", { tag: "2", platform: "linux/arm64" }));
	const alone = await registry.manifest({ domain: "", path: "copy", tag: "2" });
	expect(JSON.parse(new TextDecoder().decode(alone.bytes)).config.digest).toBe(arm);
	const work = Array.fromAsync(images.push("far:6/copy", { tag: "2", platform: "linux/s390x" }));
	await expect(work).rejects.toThrow("does not match the specified platform");
	images.tag(APP, "reg:5/other", "1");
	const mounted = await Array.fromAsync(images.push("reg:5/other", { tag: "1" }));
	expect(mounted.some(({ status }) => status === "Mounted from app")).toBe(true);
});

test("it is saved as it came and loads elsewhere with everything; a platform alone is saved, too", async () => {
	await pull();
	const bytes = await bytesOf(images.save([APP], {}));
	const files = await unpack(bytes);
	for (const digest of blobs.list()) expect(digestOf(files[`blobs/${digest.replace(":", "/")}`] ?? "")).toBe(digest);
	const target = createTestImages({ content: fakeContent(files) });
	const other = target.open();
	await Array.fromAsync(other.load(images.save([], {}), { quiet: true }));
	expect(other.resolve(APP).id).toBe(amd);
	expect(await bytesOf(other.save([APP], {}))).toEqual(bytes);
	const one = createTestImages({ content: fakeContent(files) });
	await Array.fromAsync(one.open().load(images.save([], {}), { quiet: true, platform: "linux/arm64" }));
	expect([one.open().resolve(APP).id, one.parts.blobs.list()]).toEqual([arm, []]);
	const none = createTestImages({
		content: fakeContent(await unpack(await bytesOf(images.save([APP], { platform: "linux/arm64" })))),
	});
	const work = Array.fromAsync(none.open().load(images.save([], {}), { quiet: true, platform: "linux/s390x" }));
	await expect(work).rejects.toThrow("no image for platform linux/s390x in the archive");
	const alone = await unpack(await bytesOf(images.save([APP], { platform: "linux/arm64" })));
	expect(JSON.parse(new TextDecoder().decode(alone["manifest.json"]))[0].Config).toBe(`blobs/${arm.replace(":", "/")}`);
});

test("it goes with its last name, with a tag that moves on, and at the next start when nothing names it", async () => {
	await pull();
	images.tag(APP, "copy", "1");
	expect(engine.parts.kept.indexOf("copy:1")).toBe(index);
	await images.remove(APP, { force: false, noPrune: false });
	expect(blobs.list().length).toBeGreaterThan(0);
	await registry.putImage("app", "1", ["new"]);
	await Array.fromAsync(images.pull("reg:5/app", { tag: "1" }));
	images.tag(APP, "copy", "1");
	expect(blobs.list()).toEqual([]);
	blobs.stored.set(digestOf("stray"), Buffer.from("stray"));
	await images.sweep();
	expect(blobs.list()).toEqual([]);
	// What is left is the nameless image's own layers.
	expect(images.usage().layersSize).toBe("new".length + "base".length + "amd".length);
});

test("an interrupted pull keeps what came for the next, until a prune", async () => {
	const stop = new AbortController();
	registry.pace = async () => {
		if (blobs.list().length > 6) stop.abort();
	};
	const work = Array.fromAsync(images.pull("reg:5/app", { tag: "1", platform: "all", signal: stop.signal }));
	await expect(work).rejects.toThrow("context canceled");
	const had = blobs.list().length;
	expect([images.list(), had > 6]).toEqual([[], true]);
	await images.sweep();
	expect(blobs.list().length).toBe(had);
	await images.prune({ danglingOnly: true, accepts: () => true });
	expect(blobs.list()).toEqual([]);
});

test("an index that is a bomb, or holds what is no manifest, is refused and leaves nothing", async () => {
	const put = (manifests: readonly object[]) => registry.putIndex("app", "bad", manifests);
	const odd = { mediaType: "application/x-other", digest: digestOf("x"), size: 1 };
	await put([odd]);
	await expect(pull("all", "bad")).rejects.toThrow("cannot keep all platforms of reg:5/app:bad: its entry");
	const many: object[] = [];
	for (let i = 0; i < 300; i++) {
		const digest = await registry.putIndex("app", `n${i}`, [{ ...odd, mediaType: INDEX_TYPE, size: i }]);
		many.push({ mediaType: INDEX_TYPE, digest, size: 1 });
	}
	await put(many);
	await expect(pull("all", "bad")).rejects.toThrow();
	expect([blobs.list(), images.list()]).toEqual([[], []]);
});

test("damage is found, and repaired from where it came", async () => {
	await pull();
	const victim = blobs.list().at(-1) ?? "";
	blobs.stored.set(victim, Buffer.from("damaged"));
	const check = async (repair: boolean) =>
		(await Array.fromAsync(images.check({ repair }))).filter(({ status }) => status !== "ok");
	expect(await check(false)).toMatchObject([
		{ chainId: victim, status: "damaged", images: [APP, `reg:5/app@${index}`] },
	]);
	expect(await check(true)).toMatchObject([{ status: "repaired" }]);
	expect(await check(false)).toEqual([]);
	blobs.stored.set(victim, Buffer.from("damaged"));
	registry.blob = () => {
		throw new EngineError("not-found", "blob unknown");
	};
	expect((await check(true))[0]?.detail).toContain("not repaired: reg:5/app: blob unknown");
});
