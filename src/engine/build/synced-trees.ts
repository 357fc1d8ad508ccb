import { digestOf } from "../../oci/digest.ts";
import { createId } from "../../shared/id.ts";
import type { BuildFiles, Source, SyncedTree } from "./files.ts";

/** Directories of clients that are kept, at most. */
const KEPT = 16;

interface Kept {
	readonly directory: string;
	readonly tree: SyncedTree;
	readonly sources: Map<string, Source[]>;
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
	lease(key: string): LeasedTree {
		const found = this.kept.get(key);
		if (found?.busy) return this.passing();
		const kept = found ?? this.make(`kept-${digestOf(key).slice("sha256:".length, 39)}`);
		kept.busy = true;
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

	/** Deletes what no build uses. */
	async clear(): Promise<void> {
		await this.shrink(0);
	}

	private passing(): LeasedTree {
		const made = this.make(createId());
		return { ...made, [Symbol.asyncDispose]: () => this.files.discard(made.directory) };
	}

	private make(name: string): Kept {
		const directory = `${this.directory}/${name}`;
		return { directory, tree: this.files.syncedTree(directory), sources: new Map(), busy: false };
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
