import { beforeEach, expect, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import { digestOf } from "../../oci/digest.ts";
import { EngineError } from "../../shared/errors.ts";
import type { ImagesEngine } from "./service.ts";
import { FakeRegistry } from "./testing/fake-registry.ts";
import { createTestImages } from "./testing/fakes.ts";

let registry: FakeRegistry;
let engine: ReturnType<typeof createTestImages>;
let images: ImagesEngine;
let id = "";
beforeEach(() => {
	registry = new FakeRegistry();
	engine = createTestImages({ registry });
	id = engine.put(["base layer", "top layer"], ["reg:5/app:1", "reg:5/app:2", "reg:5/other:1", "far:6/app:1"]);
	images = engine.open();
});

const [base, top] = [digestOf("base layer").slice(7, 19), digestOf("top layer").slice(7, 19)];
const push = async (name: string, tag?: string) => await Array.fromAsync(images.push(name, { tag }));
const shown = (lines: readonly Record<string, unknown>[]) =>
	lines.map(({ id, status, aux }) => (aux ? aux : id ? `${id}: ${status}` : status));
const steps = async (name: string, tag?: string) =>
	shown(await push(name, tag)).filter((line) => !String(line).includes("Pushing"));

test("a push sends layers, config and a manifest to dockerd's letter, and the image gets its digest", async () => {
	const lines = await steps("reg:5/app", "1");
	expect(lines.slice(0, 3)).toEqual([
		"The push refers to repository [reg:5/app]",
		`${top}: Preparing`,
		`${base}: Preparing`,
	]);
	const { digest, bytes } = await registry.manifest({ domain: "reg:5", path: "app", tag: "1" });
	expect(lines.slice(-2)).toEqual([
		`1: digest: ${digest} size: ${bytes.length}`,
		{ Tag: "1", Digest: digest, Size: bytes.length },
	]);
	const text = new TextDecoder().decode(bytes);
	const { layers } = JSON.parse(text) as { layers: { digest: string; size: number }[] };
	expect(text).toStartWith(`{
   "schemaVersion": 2,
   "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
   "config": {
      "mediaType": "application/vnd.docker.container.image.v1+json",
      "size": ${images.resolve(id).configJson.length},
      "digest": "${id}"
   },
   "layers": [
      {
         "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
         "size": ${layers[0]?.size},
         "digest": "${layers[0]?.digest}"
      },`);
	const inflated = layers.map((layer) =>
		new TextDecoder().decode(gunzipSync(registry.blobs.get("app")?.get(layer.digest) ?? "")),
	);
	expect(inflated).toEqual(["base layer", "top layer"]);
	expect(images.resolve(id).digests).toEqual([`reg:5/app@${digest}`]);
	expect(engine.events).toEqual([{ action: "push", id: "reg:5/app:1", attributes: { name: "reg:5/app" } }]);
});

test("what the registry has is skipped, what another of its repositories has is mounted", async () => {
	await push("reg:5/app", "1");
	expect((await steps("reg:5/app", "2")).slice(3, 5)).toEqual([
		`${top}: Layer already exists`,
		`${base}: Layer already exists`,
	]);
	expect((await steps("reg:5/other", "1")).slice(3, 5)).toEqual([
		`${top}: Mounted from app`,
		`${base}: Mounted from app`,
	]);
	expect(registry.calls.filter(([what]) => what === "pushBlob").length).toBe(4);
});

test("a layer the registry has lost is sent again; one it does not mount too", async () => {
	await push("reg:5/app", "1");
	registry.blobs.clear();
	registry.mounts = false;
	expect(await steps("reg:5/app", "1")).toContain(`${base}: Pushed`);
	registry.blobs.delete("other");
	expect(await steps("reg:5/other", "1")).toContain(`${top}: Pushed`);
});

test("without a tag all of the repository's are pushed; an unknown one is named in docker's words", async () => {
	const lines = shown(await push("reg:5/app"));
	expect(lines.filter((line) => String(line).includes("digest:")).length).toBe(2);
	expect(engine.events.at(-1)?.id).toBe("reg:5/app");
	await expect(push("reg:5/app", "9")).rejects.toThrow("tag does not exist: reg:5/app:9");
	await expect(push("reg:5/none", "9")).rejects.toThrow("An image does not exist locally with the tag: reg:5/none");
	await expect(push(`reg:5/app@sha256:${"a".repeat(64)}`)).rejects.toThrow("cannot push a digest reference");
});

test("an upload that breaks off is begun again, a refusal is not", async () => {
	const send = registry.pushBlob.bind(registry);
	let failures = 1;
	registry.pushBlob = async (...args) => {
		if (failures-- > 0) throw new EngineError("unavailable", "connection reset");
		return send(...args);
	};
	await push("far:6/app", "1");
	registry.blobs.clear();
	registry.pushBlob = async () => {
		throw new EngineError("unauthorized", "denied: requested access to the resource is denied");
	};
	await expect(push("far:6/app", "1")).rejects.toThrow("denied");
});
