import { existsSync } from "node:fs";
import { posix } from "node:path";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { type Context, containerDir, find, isRunning, publish } from "./context.ts";
import type { ContainerRecord } from "./record.ts";
import { resolveUser } from "./user.ts";

/** A container's files, running or not; every path is resolved inside its root. Errors carry the kernel's `code`. */
export interface FileViews {
	ofProcess(pid: number): FileView;
	/** Of a mounted root, with binds on top that nobody else sees. */
	ofMounts(root: string, binds: readonly RestingMount[]): FileView;
}

/** See drivers/snapshotter/views/view.ts. */
export interface FileView extends Disposable {
	stat(path: string): { size: number; mode: number; mtimeNs: bigint; linkTarget: string };
	destination(path: string): { isDirectory: boolean; isOfRoot: boolean; isReadonly: boolean };
	pack(path: string, rename: string): AsyncIterable<Uint8Array>;
	unpack(
		path: string,
		body: AsyncIterable<Uint8Array>,
		options: { keepKinds: boolean; owner?: { uid: number; gid: number } },
	): Promise<void>;
}

/** What lies over the root of a container that does not run. */
export interface RestingMount {
	readonly source: string;
	/** The part of the source that is meant. */
	readonly subpath?: string;
	readonly target: string;
	readonly readonly: boolean;
	readonly recursive: boolean;
}

/** What `docker cp` asks first. */
export interface PathStat {
	/** Last part of the path as it was asked for. */
	readonly name: string;
	readonly size: number;
	/** As in struct stat. */
	readonly mode: number;
	/** Nanoseconds since the epoch. */
	readonly mtimeNs: bigint;
	readonly linkTarget: string;
}

export interface ExtractOptions {
	/** A directory is not replaced by a file, nor the other way round. */
	readonly keepKinds: boolean;
	/** Everything belongs to the container's user, when it has one. */
	readonly copyOwner: boolean;
}

/** Contract: Containers.statPath. */
export async function statPath(context: Context, ref: string, path: string): Promise<PathStat> {
	const { result, close } = await openView(context, ref, ({ view }) => statIn(view, path, ref));
	close();
	return result;
}

/** Contract: Containers.archive. A container that does not run cannot be started or removed until the body has been read or left. */
export async function archive(
	context: Context,
	ref: string,
	path: string,
	signal: AbortSignal,
): Promise<{ stat: PathStat; body: AsyncIterable<Uint8Array> }> {
	const { result, close } = await openView(context, ref, ({ view, record }) => {
		const stat = statIn(view, path, ref);
		publish(context, record, "archive-path");
		const rename = stat.name === "/" ? "" : stat.name;
		return { stat, body: view.pack(absolutePath(path), rename) };
	});
	return { stat: result.stat, body: closing(result.body, close, signal) };
}

/** Contract: Containers.extract. */
export async function extract(
	context: Context,
	ref: string,
	path: string,
	body: AsyncIterable<Uint8Array>,
	options: ExtractOptions,
): Promise<void> {
	const { result, close } = await openView(context, ref, (opened) => writeInto(context, opened, ref, path));
	try {
		await result.view.unpack(absolutePath(path), body, {
			keepKinds: options.keepKinds,
			owner: options.copyOwner ? result.owner : undefined,
		});
		publish(context, result.record, "extract-to-dir");
	} catch (error) {
		throw worded(error, path, ref);
	} finally {
		close();
	}
}

interface Opened {
	readonly view: FileView;
	readonly record: ContainerRecord;
}

/** What a client may write to, or docker's refusal. */
function writeInto(context: Context, { view, record }: Opened, ref: string, path: string) {
	const at = guarded(path, ref, () => view.destination(absolutePath(path)));
	const refuse = (message: string) => new EngineError("invalid", message);
	if (!at.isDirectory) throw refuse("extraction point is not a directory");
	if (at.isOfRoot && record.hostConfig.ReadonlyRootfs) throw refuse("container rootfs is marked read-only");
	if (at.isReadonly) throw refuse("mounted volume is marked read-only");
	const { User } = record.config;
	const root = context.snapshotter.rootOf(record.id);
	const owner = User === "" ? undefined : resolveUser(User, [], (file) => context.readInRoot(root, file));
	return { view, record, owner };
}

function statIn(view: FileView, path: string, ref: string): PathStat {
	const asked = absolutePath(path);
	const name = asked === "/" ? "/" : posix.basename(asked);
	return { name, ...guarded(path, ref, () => view.stat(asked)) };
}

/**
 * Opens the container's files and does the synchronous `work`. A running one needs no lock: its own namespace is looked into. Any other is
 * mounted for the time, and its lock held until `close`.
 */
async function openView<T>(context: Context, ref: string, work: (opened: Opened) => T) {
	const { id, state } = find(context, ref);
	if (isRunning(state)) return runningView(context, ref, state.pid, work);
	const opened = Promise.withResolvers<{ result: T; close: () => void }>();
	const closed = Promise.withResolvers<void>();
	const held = context.locks.run(id, async () => {
		const record = find(context, id);
		const { result, close } = isRunning(record.state)
			? runningView(context, ref, record.state.pid, work)
			: restingView(context, record, work);
		opened.resolve({
			result,
			close: () => {
				close();
				closed.resolve();
			},
		});
		await closed.promise;
	});
	held.catch(opened.reject);
	return opened.promise;
}

function runningView<T>(context: Context, ref: string, pid: number, work: (opened: Opened) => T) {
	return withView(context.files.ofProcess(pid), find(context, ref), work);
}

function restingView<T>(context: Context, record: ContainerRecord, work: (opened: Opened) => T) {
	const root = context.snapshotter.mount(record.id);
	const unmount = () => context.snapshotter.unmount(record.id);
	try {
		const view = context.files.ofMounts(root, restingMounts(context, record));
		const { result, close } = withView(view, record, work);
		const both = () => {
			close();
			unmount();
		};
		return { result, close: both };
	} catch (error) {
		unmount();
		throw error;
	}
}

function withView<T>(view: FileView, record: ContainerRecord, work: (opened: Opened) => T) {
	try {
		return { result: work({ view, record }), close: () => view[Symbol.dispose]() };
	} catch (error) {
		view[Symbol.dispose]();
		throw error;
	}
}

/** Binds and volumes, and the files that the engine writes: what a start would mount, but for what lives only as long as a run. */
function restingMounts(context: Context, record: ContainerRecord): RestingMount[] {
	const dir = containerDir(context, record.id);
	const own = ["resolv.conf", "hostname", "hosts"].map((name) => ({
		source: `${dir}/${name}`,
		target: `/etc/${name}`,
	}));
	const asked = (record.mounts ?? [])
		.filter(({ type }) => type === "bind" || type === "volume")
		.map(({ source, subpath, target, readonly, nonRecursive }) => ({
			source,
			subpath,
			target,
			readonly,
			recursive: !nonRecursive,
		}));
	const files = own.map((file) => ({ ...file, readonly: record.hostConfig.ReadonlyRootfs, recursive: false }));
	return [...files, ...asked]
		.filter(({ source }) => existsSync(source))
		.sort((a, b) => a.target.split("/").length - b.target.split("/").length);
}

/** Passes the body on; `close` is called once: at its end, when it is left, or when the client goes. */
function closing(body: AsyncIterable<Uint8Array>, close: () => void, signal: AbortSignal): AsyncIterable<Uint8Array> {
	const iterator = body[Symbol.asyncIterator]();
	let open = true;
	const finish = async () => {
		if (!open) return;
		open = false;
		signal.removeEventListener("abort", finish);
		try {
			await iterator.return?.();
		} finally {
			close();
		}
	};
	signal.addEventListener("abort", finish);
	if (signal.aborted) void finish();
	return {
		[Symbol.asyncIterator]: () => ({
			async next() {
				if (!open) return { done: true, value: undefined };
				try {
					const next = await iterator.next();
					if (next.done) await finish();
					return next;
				} catch (error) {
					await finish();
					throw error;
				}
			},
			async return() {
				await finish();
				return { done: true, value: undefined };
			},
		}),
	};
}

/** The path from the root, cleaned as docker does: a trailing `/` or `/.` says something and stays. */
export function absolutePath(path: string): string {
	const clean = posix.normalize(`/${path}`).replace(/(.)\/+$/, "$1");
	if (/(^|\/)\.\/*$/.test(path)) return clean === "/" ? "/." : `${clean}/.`;
	return path.endsWith("/") && clean !== "/" ? `${clean}/` : clean;
}

function guarded<T>(path: string, ref: string, work: () => T): T {
	try {
		return work();
	} catch (error) {
		throw worded(error, path, ref);
	}
}

const PHRASES: Readonly<Record<string, string>> = {
	ENOTDIR: "not a directory",
	ELOOP: "too many levels of symbolic links",
	ENAMETOOLONG: "file name too long",
	EACCES: "permission denied",
	EPERM: "operation not permitted",
	EBUSY: "device or resource busy",
	ENOSPC: "no space left on device",
	EROFS: "read-only file system",
};

/** What the readers of tar, gzip and zstd say of bytes that are none. */
const NO_ARCHIVE =
	/^(damaged tar|tar entry |the tar has|unexpected (EOF|end of)|incorrect (header|data|length) check|invalid )/;

/** What is said of entries that cannot be where they want to. */
const NO_PLACE = /^(".*" is outside of "|cannot overwrite )/s;

/** The kernel's refusal, or the archive's reader's, in docker's words: what the client sent wrong is "invalid". */
export function worded(error: unknown, path: string, ref: string): EngineError {
	if (error instanceof EngineError) return error;
	const code = (error as { code?: unknown } | undefined)?.code;
	const text = messageOf(error);
	if (code === "ENOENT") return new EngineError("not-found", `Could not find the file ${path} in container ${ref}`);
	// What the client sent is no tar, or no path: nothing of the engine's has failed.
	if (NO_ARCHIVE.test(text)) return new EngineError("invalid", `cannot read the archive: ${text}`, { cause: error });
	if (NO_PLACE.test(text)) return new EngineError("invalid", text, { cause: error });
	const phrase = typeof code === "string" ? PHRASES[code] : undefined;
	const call = text.replace(/: [A-Z]+$/, "").replace(/^openat2 /, "lstat ");
	const kind = code === "ENAMETOOLONG" ? "invalid" : "internal";
	return new EngineError(kind, phrase ? `${call}: ${phrase}` : text, { cause: error });
}
