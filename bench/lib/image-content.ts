import { createHash, randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import tar from "tar-stream";

/** An image as blobs in memory: layers base first, uncompressed and as gzip. */
export interface BenchImage {
	readonly configJson: string;
	readonly layers: readonly { readonly tar: Buffer; readonly gzip: Buffer }[];
}

/** Of gzip: faster to make than the usual 6, about as fast to unpack. */
const LEVEL = 1;
const EPOCH = new Date("2026-01-01T00:00:00Z");

/** `layers` layers of `bytes` in all: binaries that compress by half in files of 1 MB, as packages are. New content in every process. */
export async function bigImage(layers: number, bytes: number): Promise<BenchImage> {
	const perLayer = Math.floor(bytes / layers / 1e6);
	const tars: Buffer[] = [];
	for (let layer = 0; layer < layers; layer++) {
		tars.push(
			await pack((entry) => {
				for (let i = 0; i < perLayer; i++) entry(`usr/lib/part-${layer}/file-${i}.so`, halfRandom(1e6));
			}),
		);
	}
	return imageOf(tars);
}

/** One layer of `count` small files in a tree of directories. */
export async function manyFilesImage(count: number): Promise<BenchImage> {
	const layer = await pack((entry) => {
		for (let i = 0; i < count; i++) entry(`srv/tree/${i % 100}/file-${i}.js`, halfRandom(500 + (i % 7) * 500));
	});
	return imageOf([layer]);
}

/** The docker-archive of an image, as `docker save` writes it: what `docker load` takes. */
export async function archiveOf(image: BenchImage, tag: string): Promise<Buffer> {
	const configName = `${sha256(image.configJson)}.json`;
	const names = image.layers.map((layer) => `${sha256(layer.tar)}/layer.tar`);
	const manifest = JSON.stringify([{ Config: configName, RepoTags: [tag], Layers: names }]);
	return await pack((entry) => {
		for (const [i, layer] of image.layers.entries()) entry(names[i] ?? "", layer.tar);
		entry(configName, Buffer.from(image.configJson));
		entry("manifest.json", Buffer.from(manifest));
	});
}

export function sha256(data: string | Uint8Array): string {
	return createHash("sha256").update(data).digest("hex");
}

function imageOf(tars: readonly Buffer[]): BenchImage {
	const layers = tars.map((layer) => ({ tar: layer, gzip: gzipSync(layer, { level: LEVEL }) }));
	const configJson = JSON.stringify({
		architecture: process.arch === "arm64" ? "arm64" : "amd64",
		os: "linux",
		created: EPOCH.toISOString(),
		config: { Cmd: ["/bin/true"], Labels: { "foredeck-bench": "1" } },
		rootfs: { type: "layers", diff_ids: tars.map((layer) => `sha256:${sha256(layer)}`) },
		history: tars.map((_, i) => ({ created: EPOCH.toISOString(), created_by: `layer ${i}` })),
	});
	return { configJson, layers };
}

async function pack(fill: (entry: (name: string, content: Buffer) => void) => void): Promise<Buffer> {
	const packer = tar.pack();
	const collected: Buffer[] = [];
	const done = (async () => {
		for await (const chunk of packer) collected.push(chunk as Buffer);
	})();
	fill((name, content) => packer.entry({ name, mode: 0o644, mtime: EPOCH }, content));
	packer.finalize();
	await done;
	return Buffer.concat(collected);
}

function halfRandom(size: number): Buffer {
	const random = randomBytes(Math.ceil(size / 2));
	const content = Buffer.alloc(size);
	for (let at = 0; at < size; at += 64)
		random.copy(content, at, at >> 1, Math.min((at >> 1) + 32, (at >> 1) + size - at));
	return content;
}
