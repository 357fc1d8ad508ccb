import { createHash } from "node:crypto";
import { closeSync } from "node:fs";
import { type FileDigest, inodeKey, isFresh } from "./file-digests.ts";
import { goMatch } from "./go-match.ts";
import { contentOf, type Found, openRoot, walk } from "./walk.ts";

export interface FoundSource {
	readonly path: string;
	readonly hash: string;
	readonly isDirectory: boolean;
}

/**
 * What a source of COPY stands for, with digests. Wildcards are those of Go's filepath.Match, over all paths of the tree, as dockerd does it.
 * Throws SyscallError (`ENOENT` when a name without wildcards is not there). Synchronous.
 */
export function findSources(
	root: string,
	pattern: string,
	exclude: readonly string[] = [],
	files: Digests = new Digests(new Map()),
): FoundSource[] {
	const fd = openRoot(root);
	try {
		if (!hasWildcards(pattern)) return [digest(fd, pattern, exclude, files)];
		return matches(fd, pattern).map((path) => digest(fd, path, exclude, files));
	} finally {
		closeSync(fd);
	}
}

export function hasWildcards(name: string): boolean {
	return /(^|[^\\])(\\\\)*[*?[]/.test(name);
}

function matches(root: number, pattern: string): string[] {
	const found: string[] = [];
	for (const { entry } of walk(root, "")) {
		const path = Buffer.from(entry.name, "latin1").toString();
		if (path !== "" && goMatch(pattern, path)) found.push(path);
	}
	return found;
}

function digest(root: number, path: string, exclude: readonly string[], files: Digests): FoundSource {
	const all = createHash("sha256");
	let kind = "file";
	for (const found of walk(root, path, exclude)) {
		if (found.entry.name === "" && found.entry.type === "directory") kind = "dir";
		else add(all, found, kind === "file" ? path : found.entry.name, files);
	}
	// Of a directory its content is copied, so its name does not count.
	return { path, hash: `${kind}:${all.digest("hex")}`, isDirectory: kind === "dir" };
}

function add(hash: ReturnType<typeof createHash>, found: Found, name: string, files: Digests): void {
	const { type, mode, uid, gid, linkname, devmajor, devminor, size, xattrs } = found.entry;
	const attributes = [...xattrs].map(([key, value]) => [key, Buffer.from(value).toString("hex")]);
	hash.update(`${JSON.stringify([name, type, mode, uid, gid, linkname, devmajor, devminor, size, attributes])}\n`);
	if (type === "file") hash.update(files.of(found));
}

/** Digests of files' contents: those that are known, and those that had to be read. */
export class Digests {
	readonly learnt: FileDigest[] = [];

	constructor(private readonly known: ReadonlyMap<string, string>) {}

	of(found: Found): string {
		const inode = inodeKey(found);
		const before = this.known.get(inode);
		if (before !== undefined) return before;
		const content = createHash("sha256");
		for (const chunk of contentOf(found)) content.update(chunk);
		const sha256 = content.digest("hex");
		if (!isFresh(found.ctimeNs)) this.learnt.push({ inode, sha256 });
		return sha256;
	}
}
