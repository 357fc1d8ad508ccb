import * as fs from "node:fs";
import { getXattr } from "../../../sys/linux/xattr.ts";

/**
 * Directory trees stacked as overlayfs stacks them, topmost first, read without a mount: the writable layer of a running container can be read
 * beside it, and nothing is left mounted when the process dies. Names are byte strings. Synchronous, for a Worker.
 */
export interface StackedDirectory {
	/** Absolute paths of the directories that make this one, topmost first. */
	readonly parts: readonly Buffer[];
}

export interface StackedEntry {
	readonly name: string;
	/** Absolute path of what is seen. */
	readonly path: Buffer;
	readonly stat: fs.Stats;
}

export function isWhiteout(stat: fs.Stats): boolean {
	return stat.isCharacterDevice() && stat.rdev === 0;
}

export function isOpaque(path: Buffer): boolean {
	return getXattr(path, "trusted.overlay.opaque")?.[0] === 0x79;
}

export function below(directory: Buffer, name: string): Buffer {
	return Buffer.concat([directory, SLASH, Buffer.from(name, "latin1")]);
}

/** Names in one directory, sorted by bytes. */
export function namesIn(directory: Buffer): string[] {
	return fs
		.readdirSync(directory, { encoding: "buffer" })
		.map((name) => name.toString("latin1"))
		.sort(byBytes);
}

/** What is seen under `name`; undefined when nothing is, or a whiteout hides it. */
export function lookUp(directory: StackedDirectory, name: string): StackedEntry | undefined {
	for (const part of directory.parts) {
		const path = below(part, name);
		const stat = fs.lstatSync(path, { throwIfNoEntry: false });
		if (!stat) continue;
		return isWhiteout(stat) ? undefined : { name, path, stat };
	}
	return undefined;
}

/** The directory seen under `name`: the parts down to the first that is no directory or is opaque. */
export function descend(directory: StackedDirectory, name: string): StackedDirectory {
	const parts: Buffer[] = [];
	for (const part of directory.parts) {
		const path = below(part, name);
		const stat = fs.lstatSync(path, { throwIfNoEntry: false });
		if (!stat) continue;
		if (!stat.isDirectory()) break;
		parts.push(path);
		if (isOpaque(path)) break;
	}
	return { parts };
}

/** All that is seen in a directory, sorted by name. */
export function entriesOf(directory: StackedDirectory): StackedEntry[] {
	const names = new Set(directory.parts.flatMap((part) => namesIn(part)));
	return [...names]
		.sort(byBytes)
		.map((name) => lookUp(directory, name))
		.filter((entry) => entry !== undefined);
}

const SLASH = Buffer.from("/");

/** JavaScript compares strings by code unit, which are bytes here. */
function byBytes(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}
