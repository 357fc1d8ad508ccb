import type { TreeCopy } from "../build/copy-tree.ts";
import type { AssembleRequest } from "./assemble.ts";
import type { SnapshotDirectories } from "./changes.ts";
import type { PieceRequest, Unpacked, UnpackRequest } from "./unpack.ts";

/** What a layer worker does. Those that give bytes send them as `piece`. */
export type LayerTask =
	| { readonly do: "unpack"; readonly request: UnpackRequest; readonly streamed: boolean }
	| { readonly do: "measure"; readonly request: PieceRequest; readonly streamed: boolean }
	| { readonly do: "assemble"; readonly request: AssembleRequest; readonly compression: "none" | "gzip" }
	| { readonly do: "verify"; readonly request: AssembleRequest }
	| { readonly do: "changes"; readonly snapshot: SnapshotDirectories }
	| { readonly do: "archive-copy"; readonly copy: TreeCopy }
	| { readonly do: "archive-changes" | "archive-root"; readonly snapshot: SnapshotDirectories };

export interface LayerResult {
	readonly unpacked?: Unpacked;
	/** Of the bytes given, or measured. */
	readonly summary?: { readonly digest: string; readonly size: number };
	readonly changes?: readonly { readonly path: string; readonly kind: "modified" | "added" | "deleted" }[];
}

/** From the engine's thread. Every message names its job; a job ends with `result` or `error` from the worker. */
export type ToWorker = { readonly job: number } & (
	| { readonly task: LayerTask }
	/** A piece of the stream to unpack; its buffer is transferred. */
	| { readonly piece: Uint8Array }
	| { readonly end: true }
	/** Give up: the job ends with an error. */
	| { readonly abort: true }
	/** That many more pieces may be sent. */
	| { readonly credit: number }
);

export type FromWorker = { readonly job: number } /** Bytes of the source that were taken. */ & (
	| { readonly taken: number }
	| { readonly piece: Uint8Array }
	| { readonly result: LayerResult }
	| { readonly error: string }
);
