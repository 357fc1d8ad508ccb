import * as fs from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { EngineError } from "../../../shared/errors.ts";
import { setSpread } from "../../../sys/linux/inode-flags.ts";

/** Layers of one image follow each other quickly, and the disk is better left to them: what a power loss takes is pulled again. */
const SYNC_DELAY_MS = 2000;

/** A committed layer. `diffId` and `tarSize` are missing in layers of an earlier version, which have no recipe either. */
export interface Layer {
	readonly chainId: string;
	readonly number: number;
	/** Bytes of its regular files. */
	readonly size: number;
	readonly diffId?: string;
	/** Bytes of its uncompressed tar. */
	readonly tarSize?: number;
	/** The boot in which it was unpacked, as long as its files may not be on disk yet: in another boot nobody knows what they hold. */
	readonly boot?: string;
}

/** Directories of a layer that is not committed yet; gone again unless `commit` is called. */
export interface LayerDraft {
	readonly number: number;
	readonly directory: string;
	readonly recipe: string;
}

/**
 * Layers on disk. Whoever waits for the disk here waits for its journal, for tens of ms while layers are written: never the event loop. A commit does not wait for the disk, which may be busy with others' data for seconds: files are written behind, once for all layers
 * of the last moment, and until then the index says in which boot they were made. A process that dies loses nothing; after a power loss such a
 * layer is not there, rather than there with holes. Below `root` (absolute):
 *   layers/N       one unpacked layer; short names, because 127 of them must fit into one page of mount options
 *   recipes/N/     what it takes to put its tar together again (skeleton.ts)
 *   index/N.json   the Layer; without this file it was never committed
 *   trash/         deleted in the background, swept at open
 */
export class LayerStore {
	private readonly committed = new Map<string, Layer>();
	private readonly erasing = new Set<Promise<unknown>>();
	private readonly unsynced = new Set<Layer>();
	private syncing: Promise<void> | undefined;
	private readonly closing = Promise.withResolvers<void>();
	private readonly boot = fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
	private next = 1;

	constructor(private readonly root: string) {
		for (const name of ["layers", "recipes", "index", "trash"])
			fs.mkdirSync(join(root, name), { recursive: true, mode: 0o711 });
		setSpread(join(root, "layers"));
		this.open();
	}

	find(chainId: string): Layer | undefined {
		return this.committed.get(chainId);
	}

	/** One of those with this diffID whose tar can be put together. */
	withDiffId(diffId: string): Layer | undefined {
		for (const layer of this.committed.values())
			if (layer.diffId === diffId && layer.tarSize !== undefined) return layer;
		return undefined;
	}

	get(chainId: string): Layer {
		const layer = this.committed.get(chainId);
		if (!layer) throw new EngineError("internal", `layer ${chainId} is missing`);
		return layer;
	}

	chainIds(): string[] {
		return [...this.committed.keys()];
	}

	directoryOf(layer: Pick<Layer, "number">): string {
		return join(this.root, "layers", String(layer.number));
	}

	recipeOf(layer: Pick<Layer, "number">): string {
		return join(this.root, "recipes", String(layer.number));
	}

	async draft(): Promise<LayerDraft> {
		const number = this.next++;
		const draft = { number, directory: this.directoryOf({ number }), recipe: this.recipeOf({ number }) };
		await mkdir(draft.directory, { mode: 0o755 });
		await mkdir(draft.recipe, { mode: 0o700 });
		return draft;
	}

	/** Survives the process once this returns, and a power loss a moment later. False: another of the same name was first. */
	async commit(layer: Layer): Promise<boolean> {
		const path = this.indexOf(layer);
		await writeFile(`${path}.tmp`, JSON.stringify({ ...layer, boot: this.boot }), { mode: 0o600 });
		await rename(`${path}.tmp`, path);
		if (this.committed.has(layer.chainId)) {
			await rm(path, { force: true });
			return false;
		}
		this.committed.set(layer.chainId, layer);
		this.syncLater(layer);
		return true;
	}

	private syncLater(layer: Layer): void {
		this.unsynced.add(layer);
		this.syncing ??= this.sync()
			// What cannot be written now stays marked.
			.catch(() => undefined)
			.finally(() => {
				this.syncing = undefined;
			});
	}

	private async sync(): Promise<void> {
		while (this.unsynced.size > 0) {
			await Promise.race([this.closing.promise, Bun.sleep(SYNC_DELAY_MS)]);
			const layers = [...this.unsynced];
			this.unsynced.clear();
			// A process: the call takes as long as the disk does.
			const code = await Bun.spawn(["sync", "-f", this.root], { stdio: ["ignore", "ignore", "ignore"] }).exited;
			if (code !== 0) return;
			for (const layer of layers) await this.unmark(layer);
		}
	}

	private async unmark(layer: Layer): Promise<void> {
		const path = this.indexOf(layer);
		await writeFile(`${path}.synced`, JSON.stringify(layer), { mode: 0o600, flush: true });
		await rename(`${path}.synced`, path);
		// One that was removed meanwhile stays removed.
		if (this.committed.get(layer.chainId) !== layer) await rm(path, { force: true });
	}

	private indexOf(layer: Layer): string {
		return join(this.root, "index", `${layer.number}.json`);
	}

	/** Takes a draft out of the way; it is deleted behind. */
	async discardDraft(draft: LayerDraft): Promise<void> {
		await this.discardBehind(draft.directory);
		await this.discardBehind(draft.recipe);
	}

	/** Deletes a draft; resolves once it is gone. */
	async abandon(draft: LayerDraft): Promise<void> {
		for (const path of [draft.directory, draft.recipe]) await rm(path, { recursive: true, force: true });
	}

	/** Not there any more once this is called; without its index file once it resolves. */
	async remove(layer: Layer): Promise<void> {
		this.committed.delete(layer.chainId);
		await rm(this.indexOf(layer), { force: true });
		await this.discardBehind(this.directoryOf(layer));
		await this.discardBehind(this.recipeOf(layer));
	}

	/** Takes a directory out of the way at once, and deletes it behind. */
	discard(path: string): void {
		if (!fs.existsSync(path)) return;
		const trash = this.trashName();
		fs.renameSync(path, trash);
		this.erase(trash);
	}

	/** The same without holding the event loop. */
	private async discardBehind(path: string): Promise<void> {
		const trash = this.trashName();
		try {
			await rename(path, trash);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
			throw error;
		}
		this.erase(trash);
	}

	private trashName(): string {
		return join(this.root, "trash", `${process.pid}-${this.next++}-${Date.now()}`);
	}

	/** Resolves once nothing goes on behind any more. */
	async close(): Promise<void> {
		this.closing.resolve();
		await this.syncing;
		await Promise.all(this.erasing);
	}

	/** Reads the index and sweeps what a crash left. */
	private open(): void {
		for (const name of fs.readdirSync(join(this.root, "index"))) {
			const path = join(this.root, "index", name);
			const read = name.endsWith(".json") ? readLayer(path) : undefined;
			const isWhole =
				read && (read.boot === undefined || read.boot === this.boot) && fs.existsSync(this.directoryOf(read));
			if (!isWhole) {
				fs.rmSync(path, { force: true });
				continue;
			}
			const { boot, ...layer } = read;
			this.committed.set(layer.chainId, layer);
			this.next = Math.max(this.next, layer.number + 1);
			if (boot !== undefined) this.syncLater(layer);
		}
		// A number that a deleted layer had would lead ext4 to the place of that layer, where it is slow for a while (setSpread).
		this.next += Math.floor(Math.random() * 500);
		const whole = new Set([...this.committed.values()].map((layer) => String(layer.number)));
		for (const kind of ["layers", "recipes"]) {
			for (const name of fs.readdirSync(join(this.root, kind)))
				if (!whole.has(name)) this.discard(join(this.root, kind, name));
		}
		for (const name of fs.readdirSync(join(this.root, "trash"))) this.erase(join(this.root, "trash", name));
	}

	private erase(path: string): void {
		// What cannot be deleted is swept at the next open.
		const work = rm(path, { recursive: true, force: true })
			.catch(() => undefined)
			.finally(() => this.erasing.delete(work));
		this.erasing.add(work);
	}
}

/** An index file; undefined when a power loss ruined it. */
function readLayer(path: string): Layer | undefined {
	try {
		return JSON.parse(fs.readFileSync(path, "utf8")) as Layer;
	} catch (error) {
		if (error instanceof SyntaxError) return undefined;
		throw error;
	}
}
