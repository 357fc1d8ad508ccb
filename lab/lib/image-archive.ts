import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, statSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import tar from "tar-stream";

/** What an image's config says of how its containers run. */
export interface ImageConfig {
	/** `busybox:latest` */
	readonly tag: string;
	readonly cmd?: readonly string[];
	readonly entrypoint?: readonly string[];
	readonly env?: readonly string[];
	readonly exposedPorts?: readonly string[];
	readonly labels?: Readonly<Record<string, string>>;
	readonly user?: string;
	readonly volumes?: readonly string[];
	readonly workingDir?: string;
	readonly stopSignal?: string;
}

/** An uncompressed layer tar on disk. */
export interface Layer {
	readonly path: string;
	/** What made it, for the image's history. */
	readonly origin: string;
}

export const EPOCH = new Date("2026-01-01T00:00:00Z");

/** Writes a docker-archive (what `docker load` takes) of one image. Layers from the lowest up. The same input gives the same bytes. */
export async function writeImageArchive(
	outTar: string,
	layers: readonly Layer[],
	settings: ImageConfig,
): Promise<void> {
	const hashed = await Promise.all(layers.map(async (layer) => ({ ...layer, digest: await sha256(layer.path) })));
	const config = JSON.stringify(configOf(settings, hashed));
	const configName = `${createHash("sha256").update(config).digest("hex")}.json`;
	const names = hashed.map(({ digest }) => `${digest}/layer.tar`);
	const pack = tar.pack();
	const written = pipeline(pack as unknown as NodeJS.ReadableStream, createWriteStream(outTar));
	const manifest = [{ Config: configName, RepoTags: [settings.tag], Layers: names }];
	pack.entry({ name: "manifest.json", mtime: EPOCH }, JSON.stringify(manifest));
	pack.entry({ name: configName, mtime: EPOCH }, config);
	for (const { path, digest } of hashed) {
		const entry = pack.entry({ name: `${digest}/layer.tar`, mtime: EPOCH, size: statSync(path).size });
		await pipeline(createReadStream(path), entry as unknown as NodeJS.WritableStream);
	}
	pack.finalize();
	await written;
}

async function sha256(path: string): Promise<string> {
	const hash = createHash("sha256");
	for await (const chunk of createReadStream(path)) hash.update(chunk);
	return hash.digest("hex");
}

function configOf(settings: ImageConfig, layers: readonly (Layer & { readonly digest: string })[]) {
	const set = (names: readonly string[] | undefined) => names && Object.fromEntries(names.map((name) => [name, {}]));
	const created = EPOCH.toISOString();
	return {
		architecture: process.arch === "x64" ? "amd64" : process.arch,
		os: "linux",
		created,
		config: {
			Cmd: settings.cmd ?? ["sh"],
			Entrypoint: settings.entrypoint,
			Env: settings.env ?? ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
			ExposedPorts: set(settings.exposedPorts),
			Labels: settings.labels,
			User: settings.user,
			Volumes: set(settings.volumes),
			WorkingDir: settings.workingDir ?? "/",
			StopSignal: settings.stopSignal,
		},
		rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => `sha256:${digest}`) },
		history: layers.map(({ origin }) => ({ created, created_by: origin })),
	};
}
