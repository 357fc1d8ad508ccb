import * as fs from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { EngineError } from "../../../shared/errors.ts";
import { setSpread } from "../../../sys/linux/inode-flags.ts";

/** A committed layer. `diffId` and `tarSize` are missing in layers of an earlier version, which have no recipe either. */
export interface Layer {
	readonly chainId: string;
	readonly number: number;
	/** Bytes of its regular files. */
	readonly size: number;
	readonly diffId?: string;
	/** Bytes of its uncompressed tar. */
	readonly tarSize?: number;
}

/** Directories of a layer that is not committed yet; gone again unless `commit` is called. */
export interface LayerDraft {
	readonly number: number;
	readonly directory: string;
	readonly recipe: string;
}

/**
 * Layers on disk. Below `root` (absolute):
 *   layers/N       one unpacked layer; short names, because 127 of them must fit into one page of mount options
 *   recipes/N/     what it takes to put its tar together again (skeleton.ts)
 *   index/N.json   the Layer; without this file it was never committed
 *   trash/         deleted in the background, swept at open
 */
export class LayerStore {
	private readonly committed = new Map<string, Layer>();
	private readonly erasing = new Set<Promise<unknown>>();
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

	draft(): LayerDraft {
		const number = this.next++;
		const draft = { number, directory: this.directoryOf({ number }), recipe: this.recipeOf({ number }) };
		fs.mkdirSync(draft.directory, { mode: 0o755 });
		fs.mkdirSync(draft.recipe, { mode: 0o700 });
		return draft;
	}

	/** What the draft holds is on disk already. Durable once this returns. */
	commit(layer: Layer): void {
		const path = join(this.root, "index", `${layer.number}.json`);
		fs.writeFileSync(`${path}.tmp`, JSON.stringify(layer), { mode: 0o600, flush: true });
		fs.renameSync(`${path}.tmp`, path);
		const index = fs.openSync(join(this.root, "index"), "r");
		fs.fsyncSync(index);
		fs.closeSync(index);
		this.committed.set(layer.chainId, layer);
	}

	/** Takes a draft out of the way; it is deleted behind. */
	discardDraft(draft: LayerDraft): void {
		this.discard(draft.directory);
		this.discard(draft.recipe);
	}

	/** Deletes a draft; resolves once it is gone. */
	async abandon(draft: LayerDraft): Promise<void> {
		for (const path of [draft.directory, draft.recipe]) await rm(path, { recursive: true, force: true });
	}

	remove(layer: Layer): void {
		fs.rmSync(join(this.root, "index", `${layer.number}.json`), { force: true });
		this.committed.delete(layer.chainId);
		this.discard(this.directoryOf(layer));
		this.discard(this.recipeOf(layer));
	}

	/** Takes a directory out of the way at once, and deletes it behind. */
	discard(path: string): void {
		if (!fs.existsSync(path)) return;
		const trash = join(this.root, "trash", `${process.pid}-${this.next++}-${Date.now()}`);
		fs.renameSync(path, trash);
		this.erase(trash);
	}

	/** Resolves once deletions under way are done. */
	async settled(): Promise<void> {
		await Promise.all(this.erasing);
	}

	/** Reads the index and sweeps what a crash left. */
	private open(): void {
		for (const name of fs.readdirSync(join(this.root, "index"))) {
			const path = join(this.root, "index", name);
			const layer = name.endsWith(".json") ? readLayer(path) : undefined;
			if (layer && fs.existsSync(this.directoryOf(layer))) {
				this.committed.set(layer.chainId, layer);
				this.next = Math.max(this.next, layer.number + 1);
			} else fs.rmSync(path, { force: true });
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
