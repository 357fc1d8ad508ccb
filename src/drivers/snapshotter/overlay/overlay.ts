import * as fs from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { EngineError, messageOf } from "../../../shared/errors.ts";
import { mount, unmount } from "../../../sys/linux/mount.ts";
import type { AssembledLayer, ExtractRequest, IngestRequest, SnapshotPaths, Snapshotter } from "../driver.ts";
import { UnpackClient } from "./unpack-client.ts";

interface Layer {
	readonly chainId: string;
	readonly number: number;
	readonly size: number;
}

/**
 * Snapshots on overlayfs. Below `root` (absolute):
 *   layers/N       one unpacked layer; short names, because 127 of them must fit into one page of mount options
 *   index/N.json   its chainID and size; a layer without this file was never committed
 *   active/ID/     upper, work, merged, and lower.json: layer numbers, topmost first
 *   trash/         deleted in the background, swept at open
 */
export class OverlaySnapshotter implements Snapshotter, AsyncDisposable {
	private readonly committed = new Map<string, Layer>();
	private readonly extracting = new Map<string, Promise<{ size: number }>>();
	private readonly client = new UnpackClient();
	private readonly erasing = new Set<Promise<unknown>>();
	private next = 1;

	constructor(private readonly root: string) {
		for (const name of ["layers", "index", "active", "trash"])
			fs.mkdirSync(join(root, name), { recursive: true, mode: 0o711 });
		this.open();
	}

	has(chainId: string): boolean {
		return this.committed.has(chainId);
	}

	extract(request: ExtractRequest): Promise<{ size: number }> {
		const known = this.committed.get(request.chainId);
		if (known) return Promise.resolve({ size: known.size });
		const running = this.extracting.get(request.chainId);
		if (running) return running;
		const work = this.unpack(request).finally(() => this.extracting.delete(request.chainId));
		this.extracting.set(request.chainId, work);
		return work;
	}

	async ingest(_request: IngestRequest): Promise<{ chainId: string; diffId: string; size: number }> {
		throw pending();
	}

	assemble(_chainId: string, _compression: "none" | "gzip"): AssembledLayer {
		throw pending();
	}

	tarSize(_chainId: string): number {
		throw pending();
	}

	async verify(_chainId: string): Promise<void> {
		throw pending();
	}

	async changes(_id: string): Promise<{ path: string; kind: "modified" | "added" | "deleted" }[]> {
		throw pending();
	}

	archiveChanges(_id: string): AsyncIterable<Uint8Array> {
		throw pending();
	}

	archiveRoot(_id: string): AsyncIterable<Uint8Array> {
		throw pending();
	}

	describe(id: string): SnapshotPaths {
		const directory = this.directoryOf(id);
		const lower = this.lowerOf(id).map((number) => join(this.root, "layers", String(number)));
		return {
			...(lower.length > 0 && { LowerDir: lower.join(":") }),
			UpperDir: join(directory, "upper"),
			WorkDir: join(directory, "work"),
			MergedDir: join(directory, "merged"),
		};
	}

	layerPath(chainId: string): string {
		return join(this.root, "layers", String(this.layer(chainId).number));
	}

	size(chainId: string): number {
		return this.layer(chainId).size;
	}

	async removeLayer(chainId: string): Promise<void> {
		const layer = this.committed.get(chainId);
		if (!layer) return;
		fs.rmSync(join(this.root, "index", `${layer.number}.json`), { force: true });
		this.committed.delete(chainId);
		this.discard(join(this.root, "layers", String(layer.number)));
	}

	layers(): string[] {
		return [...this.committed.keys()];
	}

	async prepare(id: string, chainIds: readonly string[]): Promise<void> {
		const lower = chainIds.map((chainId) => this.layer(chainId).number).reverse();
		const directory = this.directoryOf(id);
		fs.mkdirSync(directory, { mode: 0o711 });
		try {
			for (const name of ["upper", "work", "merged"]) fs.mkdirSync(join(directory, name), { mode: 0o755 });
			const top = lower[0];
			if (top !== undefined) copyOwner(join(this.root, "layers", String(top)), join(directory, "upper"));
			fs.writeFileSync(join(directory, "lower.json"), JSON.stringify(lower));
		} catch (error) {
			fs.rmSync(directory, { recursive: true, force: true });
			throw error;
		}
	}

	mount(id: string): string {
		const directory = this.directoryOf(id);
		const target = join(directory, "merged");
		if (isMountPoint(directory, target)) return target;
		const lower = this.lowerOf(id);
		if (lower.length === 0) {
			// An image without layers: overlayfs wants a lower directory, an empty one serves.
			fs.mkdirSync(join(directory, "empty"), { recursive: true });
		}
		const lowerdir = lower.length === 0 ? `active/${id}/empty` : lower.map((number) => `layers/${number}`).join(":");
		const data = `lowerdir=${lowerdir},upperdir=active/${id}/upper,workdir=active/${id}/work,index=off,redirect_dir=off,metacopy=off`;
		// Relative to the root, so that long chains fit. Nothing else runs between the two chdir.
		const before = process.cwd();
		process.chdir(this.root);
		try {
			mount({ source: "overlay", target, type: "overlay", data });
		} finally {
			process.chdir(before);
		}
		return target;
	}

	rootOf(id: string): string {
		return join(this.directoryOf(id), "merged");
	}

	unmount(id: string): void {
		unmount(this.rootOf(id));
	}

	async remove(id: string): Promise<void> {
		const directory = this.directoryOf(id);
		if (!fs.existsSync(directory)) return;
		while (unmount(join(directory, "merged"))) {}
		this.discard(directory);
	}

	active(): string[] {
		return fs.readdirSync(join(this.root, "active"));
	}

	async usage(id: string): Promise<number> {
		// du --bytes --summarize UPPER; a process, so that a big tree does not hold the loop
		const du = Bun.spawn(["find", join(this.directoryOf(id), "upper"), "-type", "f", "-printf", "%s\\n"], {
			stderr: "ignore",
		});
		const text = await new Response(du.stdout).text();
		return text.split("\n").reduce((sum, line) => sum + Number(line), 0);
	}

	/** Ends the worker and waits for deletions under way. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.client[Symbol.dispose]();
		await Promise.all(this.erasing);
	}

	private async unpack(request: ExtractRequest): Promise<{ size: number }> {
		const number = this.next++;
		const directory = join(this.root, "layers", String(number));
		fs.mkdirSync(directory, { mode: 0o755 });
		try {
			if (!("path" in request.source)) throw pending();
			const { size } = await this.client.unpack({ ...request.source, diffId: request.diffId, directory });
			this.commit({ chainId: request.chainId, number, size });
			return { size };
		} catch (cause) {
			await rm(directory, { recursive: true, force: true });
			const full = /ENOSPC|no space left/i.test(messageOf(cause));
			const text = full ? `no space left on device: ${messageOf(cause)}` : messageOf(cause);
			throw new EngineError(full ? "internal" : "invalid", `cannot unpack layer ${request.diffId}: ${text}`, { cause });
		}
	}

	private commit(layer: Layer): void {
		const path = join(this.root, "index", `${layer.number}.json`);
		fs.writeFileSync(`${path}.tmp`, JSON.stringify(layer));
		fs.renameSync(`${path}.tmp`, path);
		this.committed.set(layer.chainId, layer);
	}

	/** Reads the index and sweeps what a crash left. */
	private open(): void {
		for (const name of fs.readdirSync(join(this.root, "index"))) {
			const path = join(this.root, "index", name);
			if (!name.endsWith(".json")) {
				fs.rmSync(path, { force: true });
				continue;
			}
			const layer = JSON.parse(fs.readFileSync(path, "utf8")) as Layer;
			this.committed.set(layer.chainId, layer);
			this.next = Math.max(this.next, layer.number + 1);
		}
		const whole = new Set([...this.committed.values()].map((layer) => String(layer.number)));
		for (const name of fs.readdirSync(join(this.root, "layers"))) {
			if (!whole.has(name)) this.discard(join(this.root, "layers", name));
		}
		for (const name of fs.readdirSync(join(this.root, "trash"))) this.erase(join(this.root, "trash", name));
	}

	private discard(path: string): void {
		const trash = join(this.root, "trash", `${process.pid}-${this.next++}-${Date.now()}`);
		fs.renameSync(path, trash);
		this.erase(trash);
	}

	private erase(path: string): void {
		// What cannot be deleted is swept at the next open.
		const work = rm(path, { recursive: true, force: true })
			.catch(() => undefined)
			.finally(() => this.erasing.delete(work));
		this.erasing.add(work);
	}

	private layer(chainId: string): Layer {
		const layer = this.committed.get(chainId);
		if (!layer) throw new EngineError("internal", `layer ${chainId} is missing`);
		return layer;
	}

	private lowerOf(id: string): number[] {
		return JSON.parse(fs.readFileSync(join(this.directoryOf(id), "lower.json"), "utf8")) as number[];
	}

	private directoryOf(id: string): string {
		if (!/^[A-Za-z0-9][\w.-]*$/.test(id)) throw new EngineError("invalid", `invalid snapshot id ${JSON.stringify(id)}`);
		return join(this.root, "active", id);
	}
}

function pending(): EngineError {
	return new EngineError("not-implemented", "this layer store cannot do that yet");
}

/** The container's root directory has the owner and mode that the topmost layer gives it. */
function copyOwner(from: string, to: string): void {
	const { uid, gid, mode } = fs.statSync(from);
	fs.chownSync(to, uid, gid);
	fs.chmodSync(to, mode & 0o7777);
}

function isMountPoint(parent: string, path: string): boolean {
	return fs.statSync(parent).dev !== fs.statSync(path).dev;
}
