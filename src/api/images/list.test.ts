import { expect, test } from "bun:test";
import type { ImageManifest, ImageRecord } from "../../engine/images/contract.ts";
import { fakeImages } from "../testing/fakes.ts";
import { rememberVersion } from "../version.ts";
import { listReply, pruneReply } from "./list.ts";
import { imageInspect } from "./view.ts";

const record = (id: string, more: Partial<ImageRecord>): ImageRecord => ({
	id,
	configJson: "{}",
	config: { architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } },
	chain: [],
	tags: [],
	digests: [],
	size: 7,
	created: "2026-01-01T00:00:00Z",
	...more,
});
const digest = `sha256:${"d".repeat(64)}`;
const app = record("app", { tags: ["app:1", "host:5/app:2"], digests: [`app@${digest}`] });
const none = record("none", { created: "2026-01-02T00:00:00Z" });
const manifest: ImageManifest = { digest, mediaType: "type", bytes: new Uint8Array(3) };
let pruned: { danglingOnly: boolean; accepts: (image: ImageRecord) => boolean } | undefined;
const images = {
	...fakeImages(),
	list: () => [app, none],
	manifests: (id: string) => (id === "app" ? [manifest] : []),
	usage: () => ({ sharedSizes: new Map([["app", 5]]), layersSize: 9 }),
	prune: async (options: NonNullable<typeof pruned>) => {
		pruned = options;
		return { deleted: [], reclaimed: 3 };
	},
};

const rows = async (query: string) =>
	(await listReply(images, new Request(`http://localhost/images/json?${query}`)).json()) as Record<string, unknown>[];
const filters = (value: unknown) => `filters=${encodeURIComponent(JSON.stringify(value))}`;

test("rows are newest first; shared sizes and manifests come when asked for", async () => {
	const plain = await rows("all=1&digests=1");
	expect(plain.map(({ Id, SharedSize }) => [Id, SharedSize])).toEqual([
		["none", -1],
		["app", -1],
	]);
	expect(plain[1]?.Manifests).toBeUndefined();
	const [, full] = await rows("shared-size=1&manifests=true");
	expect([full?.SharedSize, full?.RepoDigests]).toEqual([5, [`app@${digest}`]]);
	expect(full?.Descriptor).toEqual({ mediaType: "type", digest, size: 3 });
	expect(full?.Manifests).toMatchObject([{ ID: digest, Size: { Content: 3, Total: 10 }, Kind: "image" }]);
});

test("a reference filter shows the matching names alone; dangling means no tag", async () => {
	expect(await rows(filters({ reference: ["host:5/*:2"] }))).toMatchObject([
		{ RepoTags: ["host:5/app:2"], RepoDigests: [] },
	]);
	expect((await rows(filters({ dangling: ["true"] }))).map((row) => row.Id)).toEqual(["none"]);
	expect((await rows(filters({ until: ["2026-01-01T12:00:00Z"] }))).map((row) => row.Id)).toEqual(["app"]);
	await expect(rows(filters({ color: ["red"] }))).rejects.toThrow("invalid filter 'color'");
});

test("prune takes dangling images unless told otherwise, and its filters narrow it", async () => {
	const prune = (value: unknown) => pruneReply(images, new Request(`http://localhost/images/prune?${filters(value)}`));
	expect(await (await prune({})).json()).toEqual({ ImagesDeleted: null, SpaceReclaimed: 3 });
	expect(pruned?.danglingOnly).toBe(true);
	await prune({ dangling: ["false"], until: ["2026-01-01T12:00:00Z"] });
	expect([pruned?.danglingOnly, pruned?.accepts(app), pruned?.accepts(none)]).toEqual([false, true, false]);
	await prune({ label: ["a=b"] });
	expect(pruned?.accepts(app)).toBe(false);
	await expect(prune({ reference: ["x"] })).rejects.toThrow("invalid filter 'reference'");
});

test("filters that dockerd does not take are refused in its words", async () => {
	await expect(rows(filters({ "label!": ["a"] }))).rejects.toThrow("invalid filter 'label!'");
	await expect(rows(filters({ reference: ["[a"] }))).rejects.toThrow("syntax error in pattern");
	expect(await rows(filters({ reference: ["[x-z]*"] }))).toEqual([]);
	await expect(rows(filters({ dangling: ["true", "false"] }))).rejects.toThrow(
		"invalid filter 'dangling=[true false]'",
	);
});

test("clients of an older API are told what they knew", async () => {
	const listed = async (minor: number) => {
		const request = new Request("http://localhost/images/json?all=1");
		rememberVersion(request, minor);
		const [row] = (await listReply(images, request).json()) as Record<string, unknown>[];
		return [row?.Containers, row?.VirtualSize, row?.RepoTags];
	};
	expect(await listed(51)).toEqual([0, undefined, []]);
	expect(await listed(50)).toEqual([-1, undefined, []]);
	expect(await listed(43)).toEqual([-1, 7, []]);
	expect(await listed(42)).toEqual([-1, 7, null]);
	const inspected = (minor: number) => Object.keys(imageInspect(app, minor));
	const fields = (minor: number) => Object.keys(imageInspect(app, minor).Config).includes("Hostname");
	expect([fields(50), fields(49)]).toEqual([false, true]);
	expect(inspected(44).filter((key) => /ContainerConfig|VirtualSize/.test(key))).toEqual(["ContainerConfig"]);
	expect(inspected(43).filter((key) => /ContainerConfig|VirtualSize/.test(key)).length).toBe(2);
	expect(inspected(45)).not.toContain("ContainerConfig");
});
