import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBusyboxImage } from "../../../lab/lib/images.ts";
import { createContent } from "../../drivers/content/spool.ts";
import { OverlaySnapshotter } from "../../drivers/snapshotter/overlay/overlay.ts";
import { openDatabase } from "../../store/database.ts";
import { DistributionStore, distributionSchema } from "../../store/distribution.ts";
import { ImageStore, imagesSchema } from "../../store/images.ts";
import { KeptIndexStore, keptIndexesSchema } from "../../store/kept-indexes.ts";
import { mount, unmount } from "../../sys/linux/mount.ts";
import { createImages, type ImagesEngine } from "./service.ts";
import { FakeRegistry } from "./testing/fake-registry.ts";
import { fakeBlobs } from "./testing/fakes.ts";

let root = "";
let users: { id: string; running: boolean }[] = [];
let events: string[] = [];
let cleanup: AsyncDisposableStack;

beforeEach(() => {
	root = fs.mkdtempSync(join(tmpdir(), "images-"));
	cleanup = new AsyncDisposableStack();
	cleanup.defer(() => fs.rmSync(root, { recursive: true }));
	users = [];
	events = [];
});
afterEach(() => cleanup.disposeAsync());

function open(data = join(root, "data")) {
	const database = openDatabase(":memory:", imagesSchema, distributionSchema, keptIndexesSchema);
	const snapshotter = cleanup.use(new OverlaySnapshotter(join(data, "overlay")));
	const images = createImages({
		store: new ImageStore(database),
		distribution: new DistributionStore(database),
		snapshotter,
		blobs: fakeBlobs(),
		kept: new KeptIndexStore(database),
		registry: new FakeRegistry(),
		download: () => {
			throw new Error("not part of the test");
		},
		content: createContent(join(data, "spool")),
		events: { publish: (_type, action, _id, { name }) => void events.push(`${action} ${name}`) },
		users: () => users,
		chainsInUse: () => [],
	});
	return { images, snapshotter, data };
}

async function archive(): Promise<string> {
	const path = join(root, "busybox.tar");
	await buildBusyboxImage(path, { tag: "busybox:latest" });
	return path;
}

async function load(images: ImagesEngine, path: string): Promise<unknown[]> {
	const body = Bun.file(path).stream() as unknown as AsyncIterable<Uint8Array>;
	return await Array.fromAsync(images.load(body, { quiet: true }));
}

test("an image loads, twice over; runs on an overlay; and goes with its layers", async () => {
	const { images, snapshotter, data } = open();
	const path = await archive();
	for (let i = 0; i < 2; i++) expect(await load(images, path)).toEqual([{ stream: "Loaded image: busybox:latest\n" }]);
	const image = images.resolve("busybox");
	expect(images.resolve(image.id.slice(7, 15)).id).toBe(image.id);
	await snapshotter.prepare("c1", image.chain);
	cleanup.defer(() => snapshotter.remove("c1"));
	const target = snapshotter.mount("c1");
	expect(Bun.spawnSync(["chroot", target, "/bin/sh", "-c", "echo hi > /new; cat /new"]).stdout.toString()).toBe("hi\n");
	expect(await snapshotter.usage("c1")).toBe(3);
	expect(fs.readdirSync(join(data, "spool"))).toEqual([]);
	await snapshotter.remove("c1");
	const gone = await images.remove("busybox", { force: false, noPrune: false });
	expect(gone).toEqual([{ Untagged: "busybox:latest" }, { Deleted: image.id }, { Deleted: image.chain[0] ?? "" }]);
	expect(snapshotter.layers()).toEqual([]);
	expect(events.slice(-2)).toEqual([`untag ${image.id}`, `delete ${image.id}`]);
	expect(() => images.resolve("busybox")).toThrow("No such image: busybox:latest");
});

test("a layer that is here is not unpacked again, under whatever name an archive has it; a damaged copy is refused", async () => {
	const { images, snapshotter } = open();
	await load(images, await archive());
	const { id, chain } = images.resolve("busybox");
	const saved = Buffer.concat(await Array.fromAsync(images.save(["busybox"], {})));
	const bodyOf = (bytes: Uint8Array) =>
		new Blob([new Uint8Array(bytes)]).stream() as unknown as AsyncIterable<Uint8Array>;
	const stage = spyOn(snapshotter, "stage");
	for (let i = 0; i < 2; i++) await Array.fromAsync(images.load(bodyOf(saved), { quiet: true }));
	expect([stage.mock.calls.length, images.resolve("busybox").id]).toEqual([0, id]);
	const damaged = Buffer.from(saved);
	damaged[damaged.length - 200_000] = (damaged[damaged.length - 200_000] ?? 0) ^ 1;
	await expect(Array.fromAsync(images.load(bodyOf(damaged), { quiet: true }))).rejects.toThrow("layer has diffID");
	await snapshotter.verify(chain[0] ?? "");
	await images.remove("busybox", { force: false, noPrune: false });
	await Array.fromAsync(images.load(bodyOf(saved), { quiet: true }));
	expect([stage.mock.calls.length, images.resolve("busybox").id]).toEqual([1, id]);
});

test("a snapshot without layers mounts", async () => {
	const { snapshotter } = open();
	await snapshotter.prepare("empty", []);
	cleanup.defer(() => snapshotter.remove("empty"));
	expect(fs.readdirSync(snapshotter.mount("empty")).toSorted()).toEqual([".dockerenv", "dev", "etc", "proc", "sys"]);
});

test("images in use stay, in docker's words", async () => {
	const { images } = open();
	await load(images, await archive());
	const { id } = images.resolve("busybox");
	const short = id.slice(7, 19);
	const remove = (ref: string, force = false) => images.remove(ref, { force, noPrune: false });
	users = [{ id: "c".repeat(64), running: true }];
	await expect(remove("busybox")).rejects.toThrow(
		`conflict: unable to remove repository reference "busybox" (must force) - container cccccccccccc is using its referenced image ${short}`,
	);
	await expect(remove(short, true)).rejects.toThrow(
		`conflict: unable to delete ${short} (cannot be forced) - image is being used by running container cccccccccccc`,
	);
	users = [];
	images.tag("busybox", "other", "1");
	await expect(remove(short)).rejects.toThrow(
		`conflict: unable to delete ${short} (must be forced) - image is referenced in multiple repositories`,
	);
	expect(await remove("other:1")).toEqual([{ Untagged: "other:1" }]);
	expect(images.resolve("busybox").tags).toEqual(["busybox:latest"]);
});

test("a damaged layer is refused and leaves nothing", async () => {
	const { images, snapshotter, data } = open();
	const path = await archive();
	const bytes = fs.readFileSync(path);
	bytes[bytes.length - 200_000] = (bytes[bytes.length - 200_000] ?? 0) ^ 1;
	fs.writeFileSync(path, bytes);
	await expect(load(images, path)).rejects.toThrow("cannot unpack layer");
	expect([images.list(), snapshotter.layers()]).toEqual([[], []]);
	expect(fs.readdirSync(join(data, "overlay/layers"))).toEqual([]);
});

test("a full disk is said so, and leaves nothing", async () => {
	for (const size of ["128k", "1m"]) {
		const data = join(root, `full-${size}`);
		fs.mkdirSync(data);
		mount({ source: "tmpfs", target: data, type: "tmpfs", data: `size=${size}` });
		cleanup.defer(() => void unmount(data));
		const { images } = open(data);
		await expect(load(images, await archive())).rejects.toThrow("no space left on device");
		expect(fs.readdirSync(join(data, "overlay/layers"))).toEqual([]);
		expect(fs.readdirSync(join(data, "spool"))).toEqual([]);
	}
});

test("an OCI layout loads like docker save's archive", async () => {
	const { images } = open();
	const unpacked = join(root, "x");
	const blobs = join(root, "oci/blobs/sha256");
	fs.mkdirSync(unpacked);
	fs.mkdirSync(blobs, { recursive: true });
	expect(Bun.spawnSync(["tar", "-xf", await archive(), "-C", unpacked]).exitCode).toBe(0);
	const put = (bytes: Uint8Array | string) => {
		const hex = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
		fs.writeFileSync(join(blobs, hex), bytes);
		return { mediaType: "", digest: `sha256:${hex}`, size: bytes.length };
	};
	const [entry] = JSON.parse(fs.readFileSync(join(unpacked, "manifest.json"), "utf8"));
	const layer = put(Bun.gzipSync(fs.readFileSync(join(unpacked, entry.Layers[0]))));
	const manifest = put(JSON.stringify({ config: put(fs.readFileSync(join(unpacked, entry.Config))), layers: [layer] }));
	const nested = put(JSON.stringify({ manifests: [manifest] }));
	const named = { ...nested, annotations: { "io.containerd.image.name": "docker.io/library/oci:1" } };
	fs.writeFileSync(join(root, "oci/index.json"), JSON.stringify({ manifests: [named] }));
	expect(Bun.spawnSync(["tar", "-czf", join(root, "oci.tar"), "-C", join(root, "oci"), "."]).exitCode).toBe(0);
	expect(await load(images, join(root, "oci.tar"))).toEqual([{ stream: "Loaded image: oci:1\n" }]);
});

test("what images use is what du counts, within 2 %, also of hard links and shared layers", async () => {
	const data = join(root, "data");
	const { images, snapshotter } = open(data);
	await load(images, await archive());
	const files = join(root, "files");
	fs.mkdirSync(files);
	for (let i = 0; i < 500; i++) fs.writeFileSync(join(files, `f${i}`), Buffer.alloc(i * 97, i));
	for (let i = 0; i < 50; i++) fs.linkSync(join(files, "f499"), join(files, `link${i}`));
	expect(Bun.spawnSync(["tar", "-cf", join(root, "f.tar"), "-C", files, "."]).exitCode).toBe(0);
	const body = () => Bun.file(join(root, "f.tar")).stream() as unknown as AsyncIterable<Uint8Array>;
	await images.importTar(body(), { repo: "many", tag: "1", changes: [] });
	const parent = images.resolve("busybox").id;
	const base = { author: "", comment: "", command: "", containerId: "c", config: {}, changes: [], parent };
	await images.commit({ ...base, layer: body(), repo: "busier", tag: "1" });
	const du = Bun.spawnSync([
		"du",
		"-sb",
		join(data, "overlay/layers"),
		join(data, "overlay/recipes"),
	]).stdout.toString();
	const real = du.split("\n").reduce((sum, line) => sum + Number(line.split("\t")[0]), 0);
	expect(snapshotter.layers().length).toBe(3);
	expect(Math.abs(images.usage().layersSize / real - 1)).toBeLessThan(0.02);
});
