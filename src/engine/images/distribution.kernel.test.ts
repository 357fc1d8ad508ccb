import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBusyboxImage } from "../../../lab/lib/images.ts";
import { createContent } from "../../drivers/content/spool.ts";
import { OverlaySnapshotter } from "../../drivers/snapshotter/overlay/overlay.ts";
import { FakeRegistry } from "./testing/fake-registry.ts";
import { createTestImages } from "./testing/fakes.ts";

let root = "";
let registry: FakeRegistry;
let cleanup: AsyncDisposableStack;
beforeEach(() => {
	root = fs.mkdtempSync(join(tmpdir(), `images-${process.pid}-`));
	registry = new FakeRegistry();
	cleanup = new AsyncDisposableStack();
	cleanup.defer(() => fs.rmSync(root, { recursive: true }));
});
afterEach(() => cleanup.disposeAsync());

/** An engine on real layers; the registry is data. */
function open(name: string) {
	const snapshotter = cleanup.use(new OverlaySnapshotter(join(root, name, "overlay")));
	const content = createContent(join(root, name, "spool"));
	return { snapshotter, images: createTestImages({ snapshotter, content, registry }).open() };
}

async function loadBusybox(images: ReturnType<typeof open>["images"]): Promise<string> {
	const path = join(root, "busybox.tar");
	await buildBusyboxImage(path, { tag: "reg:5/box:1" });
	const body = Bun.file(path).stream() as unknown as AsyncIterable<Uint8Array>;
	await Array.fromAsync(images.load(body, { quiet: true }));
	return images.resolve("reg:5/box:1").id;
}

test("an image pushed by one engine is pulled by another, runs, and is saved to the same bytes by both", async () => {
	const [here, there] = [open("here"), open("there")];
	const id = await loadBusybox(here.images);
	await Array.fromAsync(here.images.push("reg:5/box", { tag: "1" }));
	await Array.fromAsync(there.images.pull("reg:5/box", { tag: "1" }));
	const image = there.images.resolve("reg:5/box:1");
	expect([image.id, image.digests]).toEqual([id, here.images.resolve(id).digests]);
	await there.snapshotter.prepare("c1", image.chain);
	cleanup.defer(() => there.snapshotter.remove("c1"));
	const target = there.snapshotter.mount("c1");
	expect(Bun.spawnSync(["chroot", target, "/bin/sh", "-c", "echo hi"]).stdout.toString()).toBe("hi\n");
	await there.snapshotter.remove("c1");
	const [a, b] = await Promise.all(
		[here, there].map(async ({ images }) => Buffer.concat(await Array.fromAsync(images.save(["reg:5/box:1"], {})))),
	);
	expect(a?.equals(b ?? Buffer.alloc(0))).toBe(true);
	const third = open("third");
	await Array.fromAsync(third.images.load(new Blob([new Uint8Array(a ?? [])]).stream() as never, { quiet: true }));
	expect(third.images.resolve("reg:5/box:1").id).toBe(id);
});

test("a container's changes become an image that pushes and pulls", async () => {
	const { images, snapshotter } = open("here");
	const parent = await loadBusybox(images);
	await snapshotter.prepare("c1", images.resolve(parent).chain);
	cleanup.defer(() => snapshotter.remove("c1"));
	fs.writeFileSync(join(snapshotter.mount("c1"), "new"), "content");
	fs.rmSync(join(snapshotter.rootOf("c1"), "bin/vi"), { force: true });
	const base = { author: "", comment: "", command: "sh", containerId: "c1", config: {}, changes: [], parent };
	const { id } = await images.commit({ ...base, layer: snapshotter.archiveChanges("c1"), repo: "reg:5/own", tag: "1" });
	expect(images.resolve(id).config.rootfs.diff_ids.length).toBe(2);
	expect(images.resolve(id).config.history?.length).toBe(2);
	await Array.fromAsync(images.push("reg:5/own", { tag: "1" }));
	const other = open("there");
	await Array.fromAsync(other.images.pull("reg:5/own", { tag: "1" }));
	await other.snapshotter.prepare("c2", other.images.resolve(id).chain);
	cleanup.defer(() => other.snapshotter.remove("c2"));
	const target = other.snapshotter.mount("c2");
	expect([fs.readFileSync(join(target, "new"), "utf8"), fs.existsSync(join(target, "bin/vi"))]).toEqual([
		"content",
		false,
	]);
	await snapshotter.remove("c1");
	await snapshotter.prepare("c3", images.resolve(parent).chain);
	cleanup.defer(() => snapshotter.remove("c3"));
	const unchanged = await images.commit({ ...base, layer: snapshotter.archiveChanges("c3") });
	expect(images.resolve(unchanged.id).config.rootfs.diff_ids.length).toBe(1);
});

test("a corrupt or truncated blob is refused and leaves nothing; another pull goes on", async () => {
	const { images, snapshotter } = open("here");
	await loadBusybox(images);
	await Array.fromAsync(images.push("reg:5/box", { tag: "1" }));
	const other = open("there");
	const manifest = new TextDecoder().decode((await registry.manifest({ domain: "", path: "box", tag: "1" })).bytes);
	const [{ digest }] = JSON.parse(manifest).layers as [{ digest: string }];
	const good = registry.blobs.get("box")?.get(digest) ?? new Uint8Array();
	for (const bad of [good.subarray(0, good.length / 2), Buffer.from(good).fill(1, 1000, 1010), Buffer.from("<html>")]) {
		registry.blobs.get("box")?.set(digest, bad);
		await expect(Array.fromAsync(other.images.pull("reg:5/box", { tag: "1" }))).rejects.toThrow();
		expect([other.images.list(), other.snapshotter.layers()]).toEqual([[], []]);
	}
	registry.blobs.get("box")?.set(digest, good);
	await Array.fromAsync(other.images.pull("reg:5/box", { tag: "1" }));
	await other.snapshotter.verify(other.images.resolve("reg:5/box:1").chain[0] ?? "");
	expect(snapshotter.layers()).toEqual(other.snapshotter.layers());
});
