import { posix } from "node:path";
import type { Instruction, Stage } from "./instructions.ts";

/** The paths of its context that a Dockerfile uses, with wildcards as they stand; empty: it may be any. */
export function contextPaths(stages: readonly Stage[]): string[] {
	const found = stages.flatMap(({ instructions }) => instructions.map(pathsOf));
	if (found.includes("any")) return [];
	const paths = new Set(found.flatMap((one) => (one === "any" ? [] : one)));
	return [...paths].sort();
}

function pathsOf(instruction: Instruction): string[] | "any" {
	if (instruction.do === "RUN") return instruction.mounts.length > 0 ? mounted(instruction.mounts) : [];
	if (instruction.do !== "COPY" && instruction.do !== "ADD") return [];
	if (instruction.from !== undefined) return [];
	if (instruction.parents) return instruction.sources.length > 0 ? "any" : [];
	const local = instruction.sources.filter((source) => !/^(https?:\/\/|git@|ssh:\/\/|git:\/\/)/.test(source));
	return known(local);
}

/** Sources of `--mount=type=bind`, which is the type when none is said. */
function mounted(mounts: readonly string[]): string[] | "any" {
	const sources = mounts.flatMap((mount) => {
		const fields = new Map(
			mount.split(",").map((one) => [one.split("=", 1)[0] ?? "", one.slice(one.indexOf("=") + 1)]),
		);
		const isBind = (fields.get("type") ?? "bind") === "bind";
		return isBind && !fields.has("from") ? [fields.get("source") ?? fields.get("src") ?? "."] : [];
	});
	return known(sources);
}

/** Variables are only known when the instruction's turn has come. */
function known(sources: readonly string[]): string[] | "any" {
	const paths = sources.map((source) => posix.normalize(`/${source}`).replace(/^\/+|\/+$/g, ""));
	return paths.some((path) => path === "" || /[$"'\\]|\*\*/.test(path)) ? "any" : paths;
}
