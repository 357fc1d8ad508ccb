import { ptr } from "bun:ffi";
import * as fs from "node:fs";
import { posix } from "node:path";
import { parseModeChange } from "../../../shared/mode-change.ts";
import { check, cstring, libc, SyscallError } from "../../../sys/linux/libc.ts";
import { O_DIRECTORY, O_PATH, openInRoot } from "../../../sys/linux/openat2.ts";
import type { LayerEntry } from "../overlay/tar-reader.ts";
import { TreeWriter } from "../views/tree-writer.ts";
import { pathOf } from "../views/view.ts";
import { contentOf, type Found, openRoot, walk } from "./walk.ts";

export interface Owner {
	readonly uid: number;
	readonly gid: number;
}

export interface TreeCopy {
	/** The tree that is copied from, and what of it. */
	readonly root: string;
	readonly path: string;
	/** The tree that is copied to, and where in it. */
	readonly to: string;
	readonly destination: string;
	readonly owner?: Owner;
	/** As chmod(1) takes it; undefined: as it was. */
	readonly chmod?: string;
	/** Set-id bits and capabilities stay with the new owner. */
	readonly keepRights?: boolean;
	/** Patterns of what is left out. */
	readonly exclude?: readonly string[];
}

/**
 * `cp -a ROOT/PATH TO/DESTINATION` as COPY means it: of a directory its content; a file gets the destination's name, or keeps its own where that
 * is a directory or ends in a slash. Nothing outside of the two trees is read or written. Throws SyscallError. Synchronous.
 */
export function copyTree(copy: TreeCopy): void {
	const [from, to] = [openRoot(copy.root), openRoot(copy.to)];
	try {
		const found = walk(from, copy.path, copy.exclude);
		const first = found.next().value as Found | undefined;
		if (!first && copy.exclude?.length) return;
		if (!first) throw new SyscallError(`open ${copy.path}`, 6);
		if (first.entry.type === "directory") copyDirectory(to, copy, found);
		else copyFile(to, copy, first);
	} finally {
		fs.closeSync(from);
		fs.closeSync(to);
	}
}

function copyDirectory(to: number, copy: TreeCopy, found: Iterable<Found>): void {
	const { destination, owner } = copy;
	makeDirectories(to, posix.dirname(destination.replace(/\/+$/, "") || "/"), undefined, copy.chmod);
	makeDirectories(to, destination, owner, copy.chmod);
	using writer = new TreeWriter(to, bytes(destination), { keepKinds: false, owner });
	const links = new Map<string, string>();
	for (const one of found) writeOne(writer, one, links, copy);
	writer.complete();
}

function copyFile(to: number, copy: TreeCopy, found: Found): void {
	const { directory, name } = fileTarget(to, copy);
	makeDirectories(to, directory, copy.owner, copy.chmod);
	using writer = new TreeWriter(to, bytes(directory), { keepKinds: false, owner: copy.owner });
	const renamed = { ...found, entry: { ...found.entry, name: bytes(name) } };
	writeOne(writer, renamed, new Map(), copy, found);
	writer.complete();
}

/** Where a file goes. A link at the destination is followed, inside the tree. */
export function fileTarget(to: number, { path, destination }: TreeCopy): { directory: string; name: string } {
	const own = posix.basename(path);
	if (destination.endsWith("/") || isDirectory(to, destination)) return { directory: destination, name: own };
	const real = pathOf(to, destination);
	return { directory: posix.dirname(real), name: posix.basename(real) };
}

/** @param source what is read when its name has been changed */
function writeOne(
	writer: TreeWriter,
	found: Found,
	links: Map<string, string>,
	copy: TreeCopy,
	source: Found = found,
): void {
	const { entry } = found;
	const key = `${found.dev}:${found.ino}`;
	const known = found.links > 1 && entry.type !== "directory" ? links.get(key) : undefined;
	if (known !== undefined) {
		writer.begin({ ...entry, type: "link", linkname: known, size: 0 });
		return;
	}
	if (found.links > 1) links.set(key, entry.name);
	if (!writer.begin(changed(entry, copy))) return;
	for (const chunk of contentOf(source)) writer.payload(chunk);
	writer.finish();
}

/** Its rights as the copy has them. */
export function changed(
	entry: LayerEntry,
	{ owner, chmod, keepRights }: Pick<TreeCopy, "owner" | "chmod" | "keepRights">,
): LayerEntry {
	const owned = owner && !keepRights ? asChowned(entry) : entry;
	if (chmod === undefined || entry.type === "symlink") return owned;
	return { ...owned, mode: parseModeChange(chmod)?.(owned.mode, entry.type === "directory") ?? owned.mode };
}

/** Who gets a file by chown gets it without set-id bits and capabilities: those were given by and for another. */
function asChowned(entry: LayerEntry): LayerEntry {
	if (entry.type !== "file") return entry;
	const setGid = entry.mode & 0o010 ? 0o2000 : 0;
	const xattrs = new Map([...entry.xattrs].filter(([name]) => name !== "security.capability"));
	return { ...entry, mode: entry.mode & ~(0o4000 | setGid), xattrs };
}

/** `mkdir -p`, the new ones for `owner` (root when not given), mode 0755 with that change; whether the last one was missing. Throws SyscallError. */
export function makeDirectories(root: number, path: string, owner?: Owner, chmod?: string): boolean {
	if (path === "/" || path === "" || path === ".") return false;
	const clean = path.replace(/\/+$/, "");
	try {
		fs.closeSync(openInRoot(root, clean, O_PATH | O_DIRECTORY));
		return false;
	} catch (error) {
		if (!(error instanceof SyscallError) || error.code !== "ENOENT") throw error;
	}
	// A link whose target is not there yet: the target is what is made.
	const real = pathOf(root, clean);
	makeDirectories(root, posix.dirname(real), owner, chmod);
	const parent = openInRoot(root, posix.dirname(real), O_PATH | O_DIRECTORY);
	try {
		const name = cstring(posix.basename(real));
		check(libc.mkdirat(parent, ptr(name), 0o755), `mkdir ${clean}`);
		const mode = chmod === undefined ? 0o755 : (parseModeChange(chmod)?.(0o755, true) ?? 0o755);
		check(libc.fchmodat(parent, ptr(name), mode, 0), `chmod ${clean}`);
		if (owner) check(libc.fchownat(parent, ptr(name), owner.uid, owner.gid, 0x100), `chown ${clean}`);
		return true;
	} finally {
		fs.closeSync(parent);
	}
}

function isDirectory(root: number, path: string): boolean {
	try {
		fs.closeSync(openInRoot(root, path, O_PATH | O_DIRECTORY));
		return true;
	} catch (error) {
		if (error instanceof SyscallError && ["ENOENT", "ENOTDIR", "ELOOP"].includes(error.code)) return false;
		throw error;
	}
}

/** A path as a byte string. */
export function bytes(text: string): string {
	return Buffer.from(text).toString("latin1");
}
