import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import tar from "tar-stream";

export interface ImageSettings {
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
	/** Further files by absolute path; an uneven mode is the caller's to give. */
	readonly files?: Readonly<Record<string, string | Uint8Array>>;
}

const EPOCH = new Date("2026-01-01T00:00:00Z");
/** Debian's package busybox-static. */
const BUSYBOX = "/bin/busybox";

/** Writes a docker-archive with one layer: Debian's static busybox, its applets, and the few files a container needs. The same input gives the same bytes. */
export async function buildBusyboxImage(outTar: string, settings: ImageSettings): Promise<void> {
	const layerPath = `${outTar}.layer`;
	const layer = tar.pack();
	const written = pipeline(layer as unknown as NodeJS.ReadableStream, createWriteStream(layerPath));
	addBase(layer);
	for (const [path, content] of Object.entries(settings.files ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))) {
		layer.entry({ name: path.replace(/^\/+/, ""), mode: 0o755, mtime: EPOCH }, Buffer.from(content as string));
	}
	layer.finalize();
	await written;
	try {
		await writeArchive(outTar, layerPath, settings);
	} finally {
		unlinkSync(layerPath);
	}
}

function addBase(layer: tar.Pack): void {
	const directory = (name: string, mode = 0o755) => layer.entry({ name, type: "directory", mode, mtime: EPOCH });
	for (const name of ["bin/", "dev/", "etc/", "home/", "proc/", "sys/", "usr/", "usr/bin/", "var/", "var/www/"])
		directory(name);
	directory("root/", 0o700);
	directory("tmp/", 0o1777);
	const text = (name: string, content: string) => layer.entry({ name, mode: 0o644, mtime: EPOCH }, content);
	text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n");
	text("etc/group", "root:x:0:\nnogroup:x:65534:\n");
	layer.entry({ name: "bin/busybox", mode: 0o755, mtime: EPOCH }, readFileSync(BUSYBOX));
	for (const applet of applets())
		layer.entry({ name: `bin/${applet}`, type: "link", linkname: "bin/busybox", mode: 0o755, mtime: EPOCH });
	layer.entry({ name: "usr/bin/env", type: "symlink", linkname: "../../bin/busybox", mtime: EPOCH });
}

function applets(): string[] {
	const listed = Bun.spawnSync([BUSYBOX, "--list"]).stdout.toString().trim().split("\n");
	return listed.filter((name) => name !== "busybox" && !name.includes("/")).sort();
}

async function writeArchive(outTar: string, layerPath: string, settings: ImageSettings): Promise<void> {
	const hash = createHash("sha256");
	for await (const chunk of createReadStream(layerPath)) hash.update(chunk);
	const diffId = hash.digest("hex");
	const config = JSON.stringify(configOf(settings, diffId));
	const configName = `${createHash("sha256").update(config).digest("hex")}.json`;
	const layerName = `${diffId}/layer.tar`;
	const pack = tar.pack();
	const written = pipeline(pack as unknown as NodeJS.ReadableStream, createWriteStream(outTar));
	const manifest = [{ Config: configName, RepoTags: [settings.tag], Layers: [layerName] }];
	pack.entry({ name: "manifest.json", mtime: EPOCH }, JSON.stringify(manifest));
	pack.entry({ name: configName, mtime: EPOCH }, config);
	const entry = pack.entry({ name: layerName, mtime: EPOCH, size: statSync(layerPath).size });
	await pipeline(createReadStream(layerPath), entry as unknown as NodeJS.WritableStream);
	pack.finalize();
	await written;
}

function configOf(settings: ImageSettings, diffId: string) {
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
		},
		rootfs: { type: "layers", diff_ids: [`sha256:${diffId}`] },
		history: [{ created, created_by: "Debian's busybox-static" }],
	};
}

/** The images that `make-image.ts` knows, by name. */
export const IMAGES: Readonly<Record<string, ImageSettings>> = {
	busybox: { tag: "busybox:latest" },
	hello: {
		tag: "hello:latest",
		cmd: ["httpd", "-f", "-p", "80", "-h", "/var/www"],
		exposedPorts: ["80/tcp"],
		files: { "/var/www/index.html": "hello from foredeck\n" },
	},
};

/** Writes an image of IMAGES. */
export async function makeImage(name: string, outTar: string): Promise<void> {
	const settings = IMAGES[name];
	if (!settings) throw new Error(`unknown image ${name}: allowed are ${Object.keys(IMAGES).join(", ")}`);
	writeFileSync(outTar, "");
	await buildBusyboxImage(outTar, settings);
}
