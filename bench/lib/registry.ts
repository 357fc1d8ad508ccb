import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Engine } from "./engine.ts";
import { type BenchImage, sha256 } from "./image-content.ts";

/** This run's own: another run beside it has a registry, too. */
const PORT = 5001 + (process.pid % 1000);
const MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";

/** Debian's docker-registry on 127.0.0.1, one per network namespace of the engines, all over one directory. */
export interface BenchRegistry extends AsyncDisposable {
	/** `127.0.0.1:5001` and on */
	readonly host: string;
	upload(image: BenchImage, repository: string): Promise<void>;
	/** Deletes all that was pushed. */
	empty(): void;
}

/** Starts the registries that these engines reach. The caller disposes of the result. */
export async function startRegistry(engines: readonly Pick<Engine, "netns">[]): Promise<BenchRegistry> {
	const directory = mkdtempSync(join(tmpdir(), "foredeck-bench-registry-"));
	mkdirSync(join(directory, "data"));
	const host = `127.0.0.1:${PORT}`;
	writeFileSync(join(directory, "config.yml"), configOf(join(directory, "data"), host));
	const namespaces = new Set([undefined, ...engines.map((engine) => engine.netns)]);
	const processes = [...namespaces].map((netns) => {
		const enter = netns === undefined ? [] : ["nsenter", `--net=${netns}`];
		return Bun.spawn([...enter, "docker-registry", "serve", join(directory, "config.yml")], {
			stdout: "ignore",
			stderr: "ignore",
		});
	});
	const stop = async () => {
		for (const child of processes) child.kill();
		await Promise.all(processes.map((child) => child.exited));
		rmSync(directory, { recursive: true, force: true });
	};
	try {
		await answering(`http://${host}/v2/`);
	} catch (error) {
		await stop();
		throw error;
	}
	return {
		host,
		upload: (image, repository) => upload(`http://${host}/v2/${repository}`, image),
		empty: () => rmSync(join(directory, "data/docker"), { recursive: true, force: true }),
		[Symbol.asyncDispose]: stop,
	};
}

function configOf(data: string, host: string): string {
	return JSON.stringify({
		version: "0.1",
		log: { level: "error", accesslog: { disabled: true } },
		storage: { filesystem: { rootdirectory: data }, delete: { enabled: true } },
		http: { addr: host },
	});
}

async function answering(url: string): Promise<void> {
	for (let attempt = 0; attempt < 100; attempt++) {
		const ok = await fetch(url).then(
			(reply) => reply.ok,
			() => false,
		);
		if (ok) return;
		await Bun.sleep(50);
	}
	throw new Error(`no registry answers at ${url} (Debian package docker-registry)`);
}

async function upload(base: string, image: BenchImage): Promise<void> {
	for (const layer of image.layers) await uploadBlob(base, layer.gzip);
	await uploadBlob(base, Buffer.from(image.configJson));
	const body = JSON.stringify({
		schemaVersion: 2,
		mediaType: MANIFEST,
		config: {
			mediaType: "application/vnd.docker.container.image.v1+json",
			size: Buffer.byteLength(image.configJson),
			digest: `sha256:${sha256(image.configJson)}`,
		},
		layers: image.layers.map(({ gzip }) => ({
			mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip",
			size: gzip.length,
			digest: `sha256:${sha256(gzip)}`,
		})),
	});
	const headers = { "Content-Type": MANIFEST };
	await ok(await fetch(`${base}/manifests/latest`, { method: "PUT", body, headers }));
}

async function uploadBlob(base: string, blob: Buffer): Promise<void> {
	const started = await ok(await fetch(`${base}/blobs/uploads/`, { method: "POST" }));
	const location = new URL(started.headers.get("Location") ?? "", base);
	location.searchParams.set("digest", `sha256:${sha256(blob)}`);
	await ok(await fetch(location, { method: "PUT", body: new Uint8Array(blob) }));
}

async function ok(reply: Response): Promise<Response> {
	if (!reply.ok) throw new Error(`registry: ${reply.status} ${await reply.text()}`);
	return reply;
}
