import { messageOf } from "../../../shared/errors.ts";
import { copyTree, type TreeCopy } from "./copy-tree.ts";
import type { FileDigest, KnownDigests } from "./file-digests.ts";
import { Digests, type FoundSource, findSources } from "./sources.ts";

/** What the Worker is asked, once in its life, and its answer. */
export type BuildTask =
	| {
			readonly do: "find";
			readonly root: string;
			readonly pattern: string;
			readonly exclude: readonly string[];
			readonly known: KnownDigests;
	  }
	| { readonly do: "copy"; readonly copy: TreeCopy };
export type BuildAnswer =
	| { readonly sources?: readonly FoundSource[]; readonly learnt?: readonly FileDigest[] }
	| { readonly error: string; readonly code?: string };

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<BuildTask>) => {
	try {
		self.postMessage(doTask(data) satisfies BuildAnswer);
	} catch (error) {
		const code = (error as { code?: unknown }).code;
		const answer = { error: messageOf(error), ...(typeof code === "string" && { code }) };
		self.postMessage(answer satisfies BuildAnswer);
	}
};

function doTask(task: BuildTask): BuildAnswer {
	if (task.do === "find") {
		const files = new Digests(task.known);
		return { sources: findSources(task.root, task.pattern, task.exclude, files), learnt: files.learnt };
	}
	copyTree(task.copy);
	return {};
}
