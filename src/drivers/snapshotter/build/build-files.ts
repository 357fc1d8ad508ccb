import * as fs from "node:fs";
import { rm } from "node:fs/promises";
import { workerEntry } from "../../../shared/worker-entry.ts";
import { directorySize } from "../../../sys/linux/directory-size.ts";
import { O_PATH, openInRoot } from "../../../sys/linux/openat2.ts";
import { readInRoot } from "../../../sys/linux/read-in-root.ts";
import { TarReader } from "../overlay/tar-reader.ts";
import { decompress } from "../views/decompress.ts";
import { unpack } from "../views/unpack.ts";
import type { BuildAnswer, BuildTask } from "./build-worker.ts";
import { copyTree, makeDirectories, type TreeCopy } from "./copy-tree.ts";
import { TreeDigests } from "./file-digests.ts";
import { Digests, type FoundSource, findSources } from "./sources.ts";
import { type SyncedEntry, SyncedTree, syncedEntry } from "./synced-tree.ts";
import { openRoot, walk } from "./walk.ts";

/** What is done right here, in a few milliseconds: a Worker costs more. */
const SMALL_ENTRIES = 300;
const SMALL_BYTES = 2 << 20;

/** Of contexts, which nobody but their unpacking or syncing writes to. */
const digests = new TreeDigests();

/** Contract: BuildFiles of engine/build. What is big is hashed and copied in a Worker. */
export const buildFiles = {
	async unpack(directory: string, body: AsyncIterable<Uint8Array>): Promise<void> {
		digests.begin(directory);
		fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
		await withRoot(directory, (root) =>
			unpack({ root, destination: "/", options: { keepKinds: false } }, body, (found) => digests.add(directory, found)),
		);
	},

	syncedTree(directory: string): SyncedTree {
		digests.begin(directory);
		return new SyncedTree(directory);
	},

	read: readInRoot,

	*entries(root: string): Generator<SyncedEntry> {
		const fd = openRoot(root);
		try {
			const names = new Map<string, string>();
			for (const found of walk(fd, "")) {
				if (found.entry.name === "") continue;
				const entry = syncedEntry(found);
				const file = `${found.dev} ${found.ino}`;
				const first = found.links > 1 && found.entry.type === "file" ? names.get(file) : undefined;
				if (found.links > 1) names.set(file, first ?? entry.path);
				yield first === undefined ? entry : { ...entry, linkName: first };
			}
		} finally {
			fs.closeSync(fd);
		}
	},

	content: readFile,

	async write(root: string, path: string, body: AsyncIterable<Uint8Array>, mtime?: Date): Promise<void> {
		fs.mkdirSync(root, { recursive: true, mode: 0o700 });
		await withRoot(root, async (fd) => {
			const { O_CREAT, O_NOFOLLOW, O_TRUNC, O_WRONLY } = fs.constants;
			const file = openInRoot(fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
			try {
				for await (const chunk of body) writeAll(file, chunk);
				if (mtime) fs.futimesSync(file, mtime, mtime);
			} finally {
				fs.closeSync(file);
			}
		});
	},

	remove(root: string, path: string): void {
		const fd = openRoot(root);
		try {
			const slash = path.lastIndexOf("/");
			const parent = openInRoot(fd, path.slice(0, slash + 1), O_PATH);
			try {
				fs.rmSync(`/proc/self/fd/${parent}/${path.slice(slash + 1)}`, { force: true });
			} finally {
				fs.closeSync(parent);
			}
		} finally {
			fs.closeSync(fd);
		}
	},

	list: (directory: string) => (fs.existsSync(directory) ? fs.readdirSync(directory) : []),

	usage: directorySize,

	async discard(directory: string): Promise<void> {
		digests.forget(directory);
		// What cannot be deleted is swept at the next start.
		await rm(directory, { recursive: true, force: true }).catch(() => undefined);
	},

	async find(root: string, pattern: string, exclude: readonly string[] = []): Promise<FoundSource[]> {
		const isSmall = isSmallTree(root, /[*?[]/.test(pattern) ? "" : pattern);
		const known = digests.of(root);
		if (isSmall) return findSources(root, pattern, exclude, new Digests(known));
		const answer = await inWorker({ do: "find", root, pattern, exclude, known });
		digests.add(root, answer.learnt ?? []);
		return [...(answer.sources ?? [])];
	},

	isLarge: (root: string, path: string) => !isSmallTree(root, path),

	async copy({ extract, ...copy }: TreeCopy & { readonly extract: boolean }): Promise<void> {
		if (extract && (await isArchive(copy))) return await extractInto(copy);
		if (isSmallTree(copy.root, copy.path)) copyTree(copy);
		else await inWorker({ do: "copy", copy });
	},

	makeDirectory(root: string, path: string): boolean {
		const fd = openRoot(root);
		try {
			return makeDirectories(fd, path);
		} finally {
			fs.closeSync(fd);
		}
	},
};

async function withRoot<T>(root: string, work: (fd: number) => Promise<T>): Promise<T> {
	const fd = openRoot(root);
	try {
		return await work(fd);
	} finally {
		fs.closeSync(fd);
	}
}

function isSmallTree(root: string, path: string): boolean {
	const fd = openRoot(root);
	try {
		let [entries, size] = [0, 0];
		for (const { entry } of walk(fd, path)) {
			entries++;
			size += entry.size;
			if (entries > SMALL_ENTRIES || size > SMALL_BYTES) return false;
		}
		return true;
	} finally {
		fs.closeSync(fd);
	}
}

async function inWorker(task: BuildTask): Promise<Exclude<BuildAnswer, { readonly error: string }>> {
	const worker = new Worker(workerEntry("src/drivers/snapshotter/build/build-worker.ts"));
	try {
		const answer = await new Promise<BuildAnswer>((resolve, reject) => {
			worker.onmessage = ({ data }: MessageEvent<BuildAnswer>) => resolve(data);
			worker.onerror = (event) => reject(new Error(`worker failed: ${event.message}`));
			worker.postMessage(task);
		});
		if ("error" in answer) throw Object.assign(new Error(answer.error), { code: answer.code });
		return answer;
	} finally {
		worker.terminate();
	}
}

/** Whether a tar's first header can be read from the file, whatever its compression. */
async function isArchive({ root, path }: TreeCopy): Promise<boolean> {
	let isTar = false;
	const reader = new TarReader({
		raw: () => {},
		begin: () => {
			isTar = true;
			return false;
		},
		payload: () => {},
		finish: () => {},
	});
	const bytes = decompress(readFile(root, path));
	try {
		let size = 0;
		for await (const chunk of bytes) {
			reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
			size += chunk.length;
			if (isTar || size > 1 << 20) break;
		}
	} catch {
		// No tar, or damaged after its first header: unpacking tells.
	} finally {
		await bytes.return(undefined);
	}
	return isTar;
}

async function extractInto({ root, path, to, destination }: TreeCopy): Promise<void> {
	await withRoot(to, async (fd) => {
		makeDirectories(fd, destination);
		const target = {
			root: fd,
			destination: Buffer.from(destination).toString("latin1"),
			options: { keepKinds: false },
		};
		await unpack(target, readFile(root, path));
	});
}

async function* readFile(root: string, path: string): AsyncGenerator<Uint8Array> {
	const directory = openRoot(root);
	let file: number;
	try {
		const found = openInRoot(directory, path, O_PATH);
		try {
			if (!fs.fstatSync(found).isFile()) return;
			file = fs.openSync(`/proc/self/fd/${found}`, fs.constants.O_RDONLY);
		} finally {
			fs.closeSync(found);
		}
	} finally {
		fs.closeSync(directory);
	}
	const stream = fs.createReadStream("", { fd: file, highWaterMark: 256 * 1024 });
	try {
		for await (const chunk of stream) yield chunk as Buffer;
	} finally {
		stream.destroy();
	}
}

function writeAll(fd: number, bytes: Uint8Array): void {
	for (let at = 0; at < bytes.length; ) at += fs.writeSync(fd, bytes, at);
}
