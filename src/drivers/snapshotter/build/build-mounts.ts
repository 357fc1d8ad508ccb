import { ptr } from "bun:ffi";
import * as fs from "node:fs";
import { createServer, type Server } from "node:net";
import { join, posix } from "node:path";
import type { Duplex } from "node:stream";
import { check, cstring, libc, SyscallError } from "../../../sys/linux/libc.ts";
import { MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_REC, mount, unmount } from "../../../sys/linux/mount.ts";
import { O_DIRECTORY, O_PATH, openInRoot } from "../../../sys/linux/openat2.ts";
import { pathOf } from "../views/view.ts";
import { openRoot } from "./walk.ts";

const AT_REMOVEDIR = 0x200;
const SECRET_BYTES = 64 << 20;

export interface FileAccess {
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
}

/** Contract: BuildMounts of engine/build. Everything lies below `root` (absolute, where nobody but root looks in): ID/N per step. */
export class BuildMounts {
	private readonly agents = new Map<string, Server[]>();

	constructor(private readonly root: string) {}

	/** What lies at `path` inside `tree`, links followed there, by a path that cannot be swapped under the runtime. */
	bind(id: string, tree: string, path: string): string {
		const directory = openRoot(tree);
		try {
			const fd = openInRoot(directory, path, O_PATH);
			try {
				const place = this.place(id, fs.fstatSync(fd).isDirectory());
				// mount --rbind /proc/PID/fd/N PLACE: what the fd was opened on, wherever its path leads by now
				mount({ source: `/proc/self/fd/${fd}`, target: place, flags: MS_BIND | MS_REC });
				return place;
			} finally {
				fs.closeSync(fd);
			}
		} finally {
			fs.closeSync(directory);
		}
	}

	/** The tree again, to be written to: what is written goes into `scratch`, which the caller deletes after `release`. */
	writable(id: string, tree: string, scratch: string): string {
		const place = this.place(id, true);
		const [upper, work] = [join(scratch, "upper"), join(scratch, "work")];
		for (const path of [upper, work]) fs.mkdirSync(path, { recursive: true, mode: 0o755 });
		const { mode, uid, gid } = fs.statSync(tree);
		fs.chownSync(upper, uid, gid);
		fs.chmodSync(upper, mode & 0o7777);
		const data = `lowerdir=${tree},upperdir=${upper},workdir=${work},index=off,redirect_dir=off,metacopy=off`;
		// mount -t overlay overlay -o DATA PLACE
		mount({ source: "overlay", target: place, type: "overlay", data });
		return place;
	}

	/** A file in memory. */
	secret(id: string, content: Uint8Array, access: FileAccess): string {
		const file = join(this.memory(id), "secret");
		fs.writeFileSync(file, content, { mode: 0o600, flag: "wx" });
		grant(file, access);
		return file;
	}

	/** A unix socket; each of its connections is joined with one that `connect` makes. */
	async agent(id: string, connect: () => Promise<Duplex>, access: FileAccess): Promise<string> {
		const path = join(this.memory(id), "agent");
		const server = createServer((socket) => {
			socket.on("error", () => socket.destroy());
			connect().then(
				(remote) => {
					const end = () => {
						socket.destroy();
						remote.destroy();
					};
					remote.on("error", end).on("close", end);
					if (socket.destroyed) return end();
					socket.on("close", end);
					socket.pipe(remote);
					remote.pipe(socket);
				},
				() => socket.destroy(),
			);
		});
		await new Promise<void>((resolve, reject) => {
			server.on("error", reject);
			server.listen(path, resolve);
		});
		this.agents.set(id, [...(this.agents.get(id) ?? []), server]);
		grant(path, access);
		return path;
	}

	/** Parts of an absolute path that are not there in the tree, the deepest first. */
	missing(tree: string, path: string): string[] {
		const root = openRoot(tree);
		try {
			const parts = pathOf(root, path).split("/").filter(Boolean);
			const all = parts.map((_, i) => `/${parts.slice(0, i + 1).join("/")}`);
			return all.filter((one) => !exists(root, one)).reverse();
		} finally {
			fs.closeSync(root);
		}
	}

	/** Takes away empty files and directories of the tree; what has content, or is not there, stays. The directory above keeps its times. */
	removeStubs(tree: string, paths: readonly string[]): void {
		const root = openRoot(tree);
		try {
			for (const path of paths) removeStub(root, path);
		} finally {
			fs.closeSync(root);
		}
	}

	/** Takes a step's mounts away; what a container has of them stays with it. Safe to repeat. */
	release(id: string): void {
		for (const server of this.agents.get(id) ?? []) server.close();
		this.agents.delete(id);
		const directory = join(this.root, id);
		for (const name of namesIn(directory)) while (unmount(join(directory, name))) {}
		// Never into a mount that would not go: what is empty alone.
		for (const name of namesIn(directory)) removePlace(join(directory, name));
		removePlace(directory);
	}

	/** Takes away what an earlier daemon left. */
	sweep(): void {
		for (const name of namesIn(this.root)) this.release(name);
	}

	private memory(id: string): string {
		const place = this.place(id, true);
		// mount -t tmpfs -o nosuid,nodev,noexec,mode=0711,size=BYTES tmpfs PLACE
		const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
		mount({ source: "tmpfs", target: place, type: "tmpfs", flags, data: `mode=0711,size=${SECRET_BYTES}` });
		return place;
	}

	private place(id: string, directory: boolean): string {
		const parent = join(this.root, id);
		fs.mkdirSync(parent, { recursive: true, mode: 0o700 });
		const place = join(parent, String(namesIn(parent).length));
		if (directory) fs.mkdirSync(place, { mode: 0o755 });
		else fs.writeFileSync(place, "", { flag: "wx" });
		return place;
	}
}

function grant(path: string, { mode, uid, gid }: FileAccess): void {
	fs.chownSync(path, uid, gid);
	fs.chmodSync(path, mode);
}

function exists(root: number, path: string): boolean {
	try {
		fs.closeSync(openInRoot(root, path, O_PATH | fs.constants.O_NOFOLLOW));
		return true;
	} catch (error) {
		if (error instanceof SyscallError) return false;
		throw error;
	}
}

function removeStub(root: number, path: string): void {
	let parent: number;
	try {
		parent = openInRoot(root, posix.dirname(path), fs.constants.O_RDONLY | O_DIRECTORY);
	} catch (error) {
		if (error instanceof SyscallError) return;
		throw error;
	}
	try {
		const base = posix.basename(path);
		const found = fs.lstatSync(`/proc/self/fd/${parent}/${base}`, { throwIfNoEntry: false });
		if (!found || !(found.isDirectory() || (found.isFile() && found.size === 0))) return;
		const before = fs.fstatSync(parent, { bigint: true });
		const name = cstring(base);
		// rmdir PATH, or rm PATH; a directory with content stays
		if (libc.unlinkat(parent, ptr(name), found.isDirectory() ? AT_REMOVEDIR : 0) < 0) return;
		const times = [before.atimeNs, before.mtimeNs].flatMap((at) => [at / 1_000_000_000n, at % 1_000_000_000n]);
		check(libc.futimens(parent, ptr(new BigInt64Array(times))), "futimens");
	} finally {
		fs.closeSync(parent);
	}
}

function removePlace(path: string): void {
	try {
		if (fs.lstatSync(path).isDirectory()) fs.rmdirSync(path);
		else fs.unlinkSync(path);
	} catch {
		// gone, or a mount that would not go: the next start of a daemon sweeps it
	}
}

function namesIn(path: string): string[] {
	return fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() ? fs.readdirSync(path) : [];
}
