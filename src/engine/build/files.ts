import type { Duplex } from "node:stream";
import type { TreeEntry, TreeReceiver } from "./contract.ts";

/** A directory tree that a build reads or writes, and nothing outside of it: every path is resolved inside its root, whatever links say. */
export interface BuildFiles {
	/** Unpacks a tar in any compression into the directory, which is made. */
	unpack(directory: string, body: AsyncIterable<Uint8Array>): Promise<void>;
	/** A directory that is brought up to date from a client's, time after time. */
	syncedTree(directory: string): SyncedTree;
	/** Text of a file; undefined when there is none. */
	read(root: string, path: string): string | undefined;
	write(root: string, path: string, body: AsyncIterable<Uint8Array>, mtime?: Date): Promise<void>;
	/** Everything in the tree in order of the paths, parents first; what came before is no longer needed. Throws SyscallError. */
	entries(root: string): Iterable<TreeEntry>;
	/** Content of a file; of something else none. */
	content(root: string, path: string): AsyncIterable<Uint8Array>;
	/** Deletes a file of the tree. */
	remove(root: string, path: string): void;
	/** Names in a directory; none when it is not there. */
	list(directory: string): string[];
	/** Bytes of all files below, hard links counted once. */
	usage(directory: string): Promise<number>;
	/** Deletes the tree itself. */
	discard(directory: string): Promise<void>;
	/**
	 * What a source of COPY stands for: itself, or all that match when it has wildcards. Each with the digest of what would be copied. Errors
	 * carry the kernel's code (`ENOENT`). What `exclude` names is left out: patterns of an ignore file, relative to the source.
	 */
	find(root: string, pattern: string, exclude?: readonly string[]): Promise<Source[]>;
	/** Whether there is so much that it should not be written more often than it must. */
	isLarge(root: string, path: string): boolean;
	/** Copies one source into the tree `to`. */
	copy(request: CopyRequest): Promise<void>;
	/** Makes a directory and those above it; whether there was none. */
	makeDirectory(root: string, path: string): boolean;
}

export interface SyncedTree {
	/** Takes one state of the client's directory; `complete` when all has come, which says whether anything changed. */
	receive(): TreeReceiver & Disposable & { complete(): boolean };
}

export interface Source {
	/** As found, relative to the root. */
	readonly path: string;
	/** `file:HEX` or `dir:HEX`: type, mode, owner, names and content; not times. */
	readonly hash: string;
	readonly isDirectory: boolean;
}

export interface CopyRequest {
	readonly root: string;
	readonly path: string;
	readonly to: string;
	/** Absolute, inside `to`; a slash at its end makes it a directory. */
	readonly destination: string;
	/** Whose it shall be; undefined: as it was. */
	readonly owner?: { readonly uid: number; readonly gid: number };
	/** Set-id bits and capabilities stay with a new owner, as BuildKit has it; the classic builder takes them away. */
	readonly keepRights?: boolean;
	/** As chmod(1) takes it, also for directories; undefined: as it was. */
	readonly chmod?: string;
	/** Patterns of what is left out, as of `find`. */
	readonly exclude?: readonly string[];
	/** Unpack what is a tar, in any compression. */
	readonly extract: boolean;
}

/** What commands of RUN are given by `--mount`: paths that nobody can swap under the runtime. `id` names a step. Throws SyscallError. */
export interface BuildMounts {
	/** What lies at `path` inside `tree`, links followed there. */
	bind(id: string, tree: string, path: string): string;
	/** The tree again, to be written to: what is written goes into `scratch`, which the caller deletes after `release`. */
	writable(id: string, tree: string, scratch: string): string;
	/** A file in memory. */
	secret(id: string, content: Uint8Array, access: FileAccess): string;
	/** A unix socket; each of its connections is joined with one that `connect` makes. */
	agent(id: string, connect: () => Promise<Duplex>, access: FileAccess): Promise<string>;
	/** Parts of an absolute path that are not there in the tree, the deepest first. */
	missing(tree: string, path: string): string[];
	/** Takes away empty files and directories of the tree; what has content, or is not there, stays. */
	removeStubs(tree: string, paths: readonly string[]): void;
	/** Takes a step's mounts away. Safe to repeat. */
	release(id: string): void;
	/** Takes away what an earlier daemon left. */
	sweep(): void;
}

export interface FileAccess {
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
}
