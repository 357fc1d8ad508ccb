import { beforeEach, expect, test } from "bun:test";
import { chainIds, digestOf } from "../../oci/digest.ts";
import type { PullOptions } from "./contract.ts";
import type { ImagesEngine } from "./service.ts";
import { FakeRegistry, INDEX_TYPE, MANIFEST_TYPE } from "./testing/fake-registry.ts";
import { createTestImages } from "./testing/fakes.ts";

let registry: FakeRegistry;
let engine: ReturnType<typeof createTestImages>;
let images: ImagesEngine;
beforeEach(() => {
	registry = new FakeRegistry();
	engine = createTestImages({ registry });
	images = engine.open();
});

const APP = "reg:5/app";
const pull = (options: PullOptions = { tag: "1" }, name = APP) => Array.fromAsync(images.pull(name, options));
const shown = (lines: readonly Record<string, unknown>[]) =>
	lines.map(({ id, status }) => (id ? `${id}: ${status}` : status));
const short = (digest: string | undefined) => digest?.slice(7, 19);

test("a pull tells docker's story, keeps names and manifests, and is up to date the second time", async () => {
	const { id, digest, blobs } = await registry.putImage("app", "1", ["base layer", "top layer"], {
		config: { Labels: { a: "b" } },
	});
	const [base, top] = blobs.map(short);
	const lines = shown(await pull());
	expect(lines.slice(0, 3)).toEqual(["1: Pulling from app", `${base}: Pulling fs layer`, `${top}: Pulling fs layer`]);
	expect(lines.filter((line) => String(line).startsWith(`${top}`))).toEqual([
		`${top}: Pulling fs layer`,
		`${top}: Downloading`,
		`${top}: Downloading`,
		`${top}: Verifying Checksum`,
		`${top}: Download complete`,
		`${top}: Extracting`,
		`${top}: Pull complete`,
	]);
	expect(lines.slice(-2)).toEqual([`Digest: ${digest}`, "Status: Downloaded newer image for reg:5/app:1"]);
	expect(images.resolve(`${APP}@${digest}`)).toMatchObject({
		id,
		tags: ["reg:5/app:1"],
		digests: [`${APP}@${digest}`],
	});
	expect(images.manifests(id).map((one) => one.digest)).toEqual([digest]);
	expect(engine.distribution.blobs(digestOf("base layer"))).toMatchObject([
		{ digest: blobs[0], repository: "reg:5/app" },
	]);
	expect(engine.distribution.leases()).toEqual([]);
	expect(engine.events).toEqual([{ action: "pull", id: "reg:5/app:1", attributes: { a: "b", name: APP } }]);
	const asked = registry.calls.length;
	expect(shown(await pull())).toEqual([
		"1: Pulling from app",
		`Digest: ${digest}`,
		"Status: Image is up to date for reg:5/app:1",
	]);
	expect(registry.calls.length).toBe(asked);
});

test("a digest is pulled without a tag; a moved tag leaves the old image its digest", async () => {
	const first = await registry.putImage("app", "1", ["one"]);
	expect(shown(await pull({ tag: first.digest })).at(-1)).toBe(
		`Status: Downloaded newer image for ${APP}@${first.digest}`,
	);
	expect(images.resolve(first.id).tags).toEqual([]);
	await pull();
	await registry.putImage("app", "1", ["two"]);
	await pull();
	expect(images.resolve(first.id)).toMatchObject({ tags: [], digests: [`${APP}@${first.digest}`] });
	expect(images.resolve("reg:5/app:1").id).not.toBe(first.id);
});

test("layers that are here are shared; without a tag all tags are pulled", async () => {
	const one = await registry.putImage("app", "1", ["base", "one"]);
	await registry.putImage("app", "2", ["base", "two"]);
	const lines = shown(await pull({}));
	expect(lines).toContain(`${short(one.blobs[0])}: Already exists`);
	expect(lines.at(-1)).toBe(`Status: Downloaded newer image for ${APP}`);
	expect(engine.snapshotter.extracted.length).toBe(3);
	expect(images.list().flatMap((image) => image.tags)).toEqual(["reg:5/app:1", "reg:5/app:2"]);
});

test("an index leads to the platform's image, and lends it its digest", async () => {
	const wanted = await registry.putImage("app", "amd", ["amd"]);
	const arm = await registry.putImage("app", "arm", ["arm"], { architecture: "arm64", variant: "v8" });
	const entry = (one: typeof arm, platform: object) => ({
		mediaType: MANIFEST_TYPE,
		digest: one.digest,
		size: one.size,
		platform,
	});
	const digest = await registry.putIndex("app", "1", [
		entry(arm, { os: "linux", architecture: "arm64", variant: "v8" }),
		{ ...entry(wanted, { os: "unknown", architecture: "unknown" }), annotations: {} },
		entry(wanted, { os: "linux", architecture: "amd64" }),
	]);
	await pull({ tag: "1", platform: "linux/amd64" });
	expect(images.resolve("reg:5/app:1")).toMatchObject({ id: wanted.id, digests: [`${APP}@${digest}`] });
	expect(images.manifests(wanted.id).map((one) => one.mediaType)).toEqual([INDEX_TYPE, MANIFEST_TYPE]);
	await pull({ tag: "1", platform: "linux/arm64" });
	expect(images.resolve("reg:5/app:1").id).toBe(arm.id);
	await expect(pull({ tag: "1", platform: "linux/s390x" })).rejects.toThrow(
		"no matching manifest for linux/s390x in the manifest list entries",
	);
});

test("an image of another platform under a plain manifest is taken with docker's warning", async () => {
	await registry.putImage("app", "1", ["x"], { architecture: "arm64" });
	expect(shown(await pull({ tag: "1", platform: "linux/amd64" })).at(-1)).toBe(
		"WARNING: image with reference reg:5/app:1 was found but its platform (linux/arm64) does not match the specified platform (linux/amd64)",
	);
});

test("what is no image, lies, or is too much is refused and leaves nothing", async () => {
	const put = (value: object, mediaType = MANIFEST_TYPE) =>
		registry.pushManifest(
			{ domain: "", path: "app", tag: "1" },
			{ mediaType, bytes: Buffer.from(JSON.stringify(value)) },
		);
	const config = { mediaType: "application/vnd.cncf.helm.config.v1+json", digest: digestOf("x"), size: 1 };
	const layer = { mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip", digest: digestOf("y"), size: 1 };
	await put({ config, layers: [] });
	await expect(pull()).rejects.toThrow("it is no image but an OCI artifact (application/vnd.cncf.helm.config.v1+json)");
	await put({ config, layers: [], manifests: [] });
	await expect(pull()).rejects.toThrow("has both manifests and layers");
	await put({ manifests: [] });
	await expect(pull()).rejects.toThrow("was sent as application/vnd.docker.distribution.manifest.v2+json, but");
	await put({ config: { ...config, mediaType: "" }, layers: Array(128).fill(layer) });
	await expect(pull()).rejects.toThrow("max depth exceeded: 128 layers");
	await put({ config: { ...config, mediaType: "" }, layers: [{ ...layer, mediaType: "text/html" }] });
	await expect(pull()).rejects.toThrow("unsupported layer media type text/html");
	await put({ config: { ...config, mediaType: "", size: 1e9 }, layers: [] });
	await expect(pull()).rejects.toThrow("is larger than 8 MiB");
	const { blobs } = await registry.putImage("app", "1", ["good layer", "broken layer"]);
	registry.blobs.get("app")?.set(blobs[1] ?? "", Buffer.from("something else"));
	await expect(pull()).rejects.toThrow("blob has digest");
	expect(images.list()).toEqual([]);
	await images.prune({ danglingOnly: true, accepts: () => false });
	expect(engine.snapshotter.layers()).toEqual([]);
});

test("a client that leaves ends its pull; another's goes on; layers done stay for the next", async () => {
	const { blobs } = await registry.putImage("app", "1", ["fast", "slow layer"]);
	const release = Promise.withResolvers<void>();
	registry.pace = (digest) => (digest === blobs[1] ? release.promise : Promise.resolve());
	const leaving = new AbortController();
	const until = async (lines: AsyncIterable<Record<string, unknown>>, status: string) => {
		for await (const line of lines) if (line.status === status) break;
	};
	const first = images.pull(APP, { tag: "1", signal: leaving.signal });
	const second = pull();
	await until(first, "Pull complete");
	leaving.abort();
	release.resolve();
	expect(shown(await second)).toContain(`${short(blobs[1])}: Pull complete`);
	expect(registry.calls.filter(([what, , digest]) => what === "blob" && digest === blobs[1]).length).toBe(1);
});

test("an interrupted pull leaves no image, and its layers wait for the next one, over a restart too", async () => {
	const { blobs, id } = await registry.putImage("app", "1", ["fast", "slow layer"]);
	registry.pace = (digest, signal) =>
		digest === blobs[1]
			? new Promise((resolve) => signal?.addEventListener("abort", () => resolve()))
			: Promise.resolve();
	for await (const line of images.pull(APP, { tag: "1" })) if (line.status === "Pull complete") break;
	expect([images.list(), engine.distribution.leases()]).toEqual([[], [id]]);
	images = engine.open();
	await images.sweep();
	const [base] = chainIds([digestOf("fast")]);
	expect(engine.snapshotter.layers()).toEqual([base ?? ""]);
	registry.pace = async () => {};
	expect(shown(await pull())).toContain(`${short(blobs[0])}: Already exists`);
	expect(engine.distribution.leases()).toEqual([]);
});
