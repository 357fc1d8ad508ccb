import { createWriteStream, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import tar from "tar-stream";
import { EPOCH, type ImageConfig, writeImageArchive } from "./image-archive.ts";

export interface ImageSettings extends ImageConfig {
	/** Further files by absolute path; an uneven mode is the caller's to give. */
	readonly files?: Readonly<Record<string, string | Uint8Array>>;
}

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
		await writeImageArchive(outTar, [{ path: layerPath, origin: "Debian's busybox-static" }], settings);
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
