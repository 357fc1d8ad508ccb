import { messageOf } from "../../../shared/errors.ts";
import { copyTree, type TreeCopy } from "./copy-tree.ts";
import { type FoundSource, findSources } from "./sources.ts";

/** What the Worker is asked, once in its life, and its answer. */
export type BuildTask =
	| { readonly do: "find"; readonly root: string; readonly pattern: string; readonly exclude: readonly string[] }
	| { readonly do: "copy"; readonly copy: TreeCopy };
export type BuildAnswer =
	| { readonly sources?: readonly FoundSource[] }
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
	if (task.do === "find") return { sources: findSources(task.root, task.pattern, task.exclude) };
	copyTree(task.copy);
	return {};
}
