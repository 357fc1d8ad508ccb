import { beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase } from "./database.ts";
import { DistributionStore, distributionSchema } from "./distribution.ts";
import { ImageStore, imagesSchema } from "./images.ts";

let store: DistributionStore;
let images: ImageStore;
beforeEach(() => {
	const database = openDatabase(":memory:", imagesSchema, distributionSchema);
	store = new DistributionStore(database);
	images = new ImageStore(database);
	images.save({ id: "sha256:i", config: "{}", size: 1 }, ["app:1"], "2026-01-01T00:00:00Z");
});

test("manifests keep their bytes and order, and go with their image", () => {
	const index = { digest: "sha256:1", mediaType: "index", bytes: new Uint8Array([0, 255, 1]) };
	const manifest = { digest: "sha256:0", mediaType: "manifest", bytes: new Uint8Array([2]) };
	for (let i = 0; i < 2; i++) store.saveManifests("sha256:i", [index, manifest]);
	expect(store.manifests("sha256:i")).toEqual([index, manifest]);
	images.remove("sha256:i");
	expect(store.manifests("sha256:i")).toEqual([]);
});

test("blobs of a layer are known newest first, until they are forgotten", () => {
	const blob = { diffId: "d", digest: "z", size: 5, mediaType: "gzip", repository: "docker.io/library/a" };
	const other = { ...blob, repository: "docker.io/library/b" };
	for (const one of [blob, other, blob]) store.saveBlob(one);
	expect(store.blobs("d")).toEqual([blob, other]);
	store.forgetBlob(blob);
	expect([store.blobs("d"), store.blobs("e")]).toEqual([[other], []]);
});

test("a lease holds its layers until it ends or runs out", () => {
	store.lease("one", ["a", "b"], 100);
	store.lease("two", ["b", "c"], 200);
	expect(store.leased(99).sort()).toEqual(["a", "b", "c"]);
	expect(store.leased(100).sort()).toEqual(["b", "c"]);
	expect(store.leases()).toEqual(["two"]);
	store.endLease("two");
	expect(store.leased(0)).toEqual([]);
});

test("a file of an engine that knew no registries gets these tables and keeps its images", () => {
	const directory = mkdtempSync(join(tmpdir(), "foredeck-store-"));
	try {
		const before = openDatabase(join(directory, "state.db"), imagesSchema);
		new ImageStore(before).save({ id: "sha256:old", config: "{}", size: 1 }, ["old:1"], "2026-01-01T00:00:00Z");
		before.close();
		const database = openDatabase(join(directory, "state.db"), imagesSchema, distributionSchema);
		expect(new ImageStore(database).list()).toMatchObject([{ id: "sha256:old", references: ["old:1"] }]);
		expect(new DistributionStore(database).leases()).toEqual([]);
		database.close();
	} finally {
		rmSync(directory, { recursive: true });
	}
});
