import { createId } from "../../shared/id.ts";
import { nowNano } from "../../shared/time.ts";
import type { BuildCacheEntry } from "./contract.ts";
import type { BuildFiles, Source, SyncedTree } from "./files.ts";

/** Directories of clients that are kept, at most. */
const KEPT = 16;

interface Kept {
	readonly directory: string;
	readonly tree: SyncedTree;
	readonly sources: Map<string, Source[]>;
	readonly record: { readonly id: string; readonly description: string; readonly created: string };
	lastUsed: string;
	usageCount: number;
	busy: boolean;
}

export interface LeasedTree extends AsyncDisposable {
	readonly directory: string;
	readonly tree: SyncedTree;
	/** BuildFiles.find in it, by what was asked. Holds until a sync changes something. */
	readonly sources: Map<string, Source[]>;
}

/** Copies of clients' directories, kept so that the next build only asks for what changed. They live until the daemon's next start. */
export class SyncedTrees {
	/** The one used last is the last. */
	private readonly kept = new Map<string, Kept>();

	constructor(
		private readonly files: BuildFiles,
		private readonly directory: string,
	) {}

	/** The tree of this key for one build alone: another build of the same directory at the same time gets one of its own, which is not kept. */
	lease(key: string, name: string): LeasedTree {
		const found = this.kept.get(key);
		if (found?.busy) return this.passing(name);
		const kept = found ?? this.make(`kept-${createId().slice(0, 32)}`, name);
		kept.busy = true;
		kept.lastUsed = nowNano();
		kept.usageCount++;
		this.kept.delete(key);
		this.kept.set(key, kept);
		return {
			...kept,
			[Symbol.asyncDispose]: async () => {
				kept.busy = false;
				await this.shrink(KEPT);
			},
		};
	}

	async usage(): Promise<BuildCacheEntry[]> {
		const entries: BuildCacheEntry[] = [];
		for (const { record, lastUsed, usageCount, busy, directory } of this.kept.values()) {
			const size = await this.files.usage(directory);
			entries.push({ ...record, type: "source.local", lastUsed, usageCount, inUse: busy, size });
		}
		return entries;
	}

	/** Deletes those of these ids that no build uses. */
	async prune(ids: ReadonlySet<string>): Promise<void> {
		for (const [key, { record, busy, directory }] of this.kept) {
			if (busy || !ids.has(record.id)) continue;
			this.kept.delete(key);
			await this.files.discard(directory);
		}
	}

	private passing(name: string): LeasedTree {
		const made = this.make(createId(), name);
		return { ...made, [Symbol.asyncDispose]: () => this.files.discard(made.directory) };
	}

	/** A directory that nobody has had: one that has just been let go is still being deleted. */
	private make(file: string, name: string): Kept {
		const directory = `${this.directory}/${file}`;
		const record = { id: createId().slice(0, 25), description: `local source for ${name}`, created: nowNano() };
		return {
			directory,
			tree: this.files.syncedTree(directory),
			sources: new Map(),
			record,
			lastUsed: record.created,
			usageCount: 0,
			busy: false,
		};
	}

	private async shrink(to: number): Promise<void> {
		for (const [key, { busy, directory }] of this.kept) {
			if (this.kept.size <= to) return;
			if (busy) continue;
			this.kept.delete(key);
			await this.files.discard(directory);
		}
	}
}
