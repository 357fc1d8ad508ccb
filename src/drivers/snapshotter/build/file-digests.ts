/** Content of a file that was hashed: it holds as long as the file's inode has not changed since. */
export interface FileDigest {
	/** Inode and time of its last change, in nanoseconds. */
	readonly inode: string;
	/** Hex of sha256. */
	readonly sha256: string;
}

/** What is known of a tree's files, by inode and time of change. */
export type KnownDigests = Map<string, string>;

/** Changes closer to each other than this may have the same time: such a file is hashed again the next time. Nanoseconds. */
const TICK = 20_000_000n;

/** Files of one tree that are remembered; what changes again and again leaves its old states behind. */
const MOST = 500_000;

/** A file's identity for as long as nobody writes to it. */
export function inodeKey({ ino, ctimeNs }: { readonly ino: bigint | number; readonly ctimeNs: bigint }): string {
	return `${ino} ${ctimeNs}`;
}

/** Whether a file that was read just now may have been changed since without its time showing it. */
export function isFresh(ctimeNs: bigint): boolean {
	return BigInt(Date.now()) * 1_000_000n - ctimeNs < TICK;
}

/** Digests of files by the directory of their tree, from `begin` to `forget`; of other trees nothing is remembered. */
export class TreeDigests {
	private readonly trees = new Map<string, KnownDigests>();

	begin(root: string): void {
		if (!this.trees.has(root)) this.trees.set(root, new Map());
	}

	of(root: string): KnownDigests {
		return this.trees.get(root) ?? new Map<string, string>();
	}

	add(root: string, found: readonly FileDigest[]): void {
		const known = this.trees.get(root);
		if (!known) return;
		if (known.size > MOST) known.clear();
		for (const { inode, sha256 } of found) known.set(inode, sha256);
	}

	forget(root: string): void {
		this.trees.delete(root);
	}
}
