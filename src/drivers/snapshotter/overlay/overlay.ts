import * as fs from "node:fs";
import { join } from "node:path";
import { chainIds } from "../../../oci/digest.ts";
import { EngineError, messageOf } from "../../../shared/errors.ts";
import { mount, unmount } from "../../../sys/linux/mount.ts";
import type {
	AssembledLayer,
	ExtractRequest,
	IngestRequest,
	LayerCopy,
	LayerSource,
	SnapshotPaths,
	Snapshotter,
	StagedLayer,
} from "../driver.ts";
import type { SnapshotDirectories } from "./changes.ts";
import { copyOwner, etcOwner, INIT, makeInitLayer } from "./init-layer.ts";
import { type Layer, type LayerDraft, LayerStore } from "./layer-store.ts";
import { type LayerStream, LayerWorkers } from "./layer-workers.ts";
import type { Unpacked, UnpackLimits } from "./unpack.ts";

export interface OverlayOptions {
	/** Bytes that one layer's tar may have, uncompressed. */
	readonly maxLayerBytes?: number;
	/** Entries that one layer's tar may have. */
	readonly maxLayerEntries?: number;
}

/** A file in the directory of a snapshot that has no init layer. */
const BARE = "bare";
const MAX_LAYER_BYTES = 64 * 1024 ** 3;
const MAX_LAYER_ENTRIES = 4_000_000;

/**
 * Snapshots on overlayfs. Below `root` (absolute) lie the layers (LayerStore), and
 *   init/          the layer between each image and its containers
 *   active/ID/     upper, work, merged, and lower.json: layer numbers, topmost first
 * Whatever reads or writes a whole layer runs in Workers.
 */
export class OverlaySnapshotter implements Snapshotter, AsyncDisposable {
	private readonly store: LayerStore;
	private readonly extracting = new Map<string, Promise<{ size: number }>>();
	private readonly workers = new LayerWorkers();
	private readonly limits: UnpackLimits;

	constructor(
		private readonly root: string,
		options: OverlayOptions = {},
	) {
		fs.mkdirSync(root, { recursive: true, mode: 0o700 });
		// Whatever the directories above are: images hold set-id programs, and files of users who have the same numbers here (CVE-2021-41091).
		fs.chmodSync(root, 0o700);
		fs.mkdirSync(join(root, "active"), { recursive: true, mode: 0o711 });
		makeInitLayer(root);
		this.store = new LayerStore(root);
		this.limits = {
			bytes: options.maxLayerBytes ?? MAX_LAYER_BYTES,
			entries: options.maxLayerEntries ?? MAX_LAYER_ENTRIES,
		};
	}

	has(chainId: string): boolean {
		return this.store.find(chainId) !== undefined;
	}

	async extract(request: ExtractRequest): Promise<{ size: number }> {
		for (;;) {
			const known = this.store.find(request.chainId);
			const running = this.extracting.get(request.chainId);
			if (!known && !running) break;
			// Who waits for another's work does its own when that fails: the other's source may be what was bad.
			const shared = known ?? (await running?.catch(() => undefined));
			if (!shared) continue;
			release(request.source);
			return { size: shared.size };
		}
		const work = this.unpack(request)
			.then(({ draft, unpacked }) => this.commit(request.chainId, unpacked, draft))
			.finally(() => this.extracting.delete(request.chainId));
		this.extracting.set(request.chainId, work);
		return await work;
	}

	async ingest(request: IngestRequest): Promise<{ chainId: string; diffId: string; size: number }> {
		await using staged = await this.stage(request.source);
		const { diffId } = staged;
		const chainId = chainIdOf(request.parentChainId, diffId);
		await staged.adopt(chainId);
		return { chainId, diffId, size: this.size(chainId) };
	}

	async stage(source: LayerSource): Promise<StagedLayer> {
		const { draft, unpacked } = await this.unpack({ source });
		let isOpen = true;
		return {
			diffId: unpacked.diffId,
			adopt: async (chainId) => {
				if (!isOpen) throw new EngineError("internal", `layer ${unpacked.diffId} has a name already`);
				isOpen = false;
				await this.commit(chainId, unpacked, draft);
			},
			[Symbol.asyncDispose]: async () => {
				const wasOpen = isOpen;
				isOpen = false;
				if (wasOpen) await this.store.discardDraft(draft);
			},
		};
	}

	find(diffId: string): string | undefined {
		return this.store.withDiffId(diffId)?.chainId;
	}

	async measure(source: LayerSource): Promise<{ digest: string; size: number }> {
		const body = "body" in source ? source.body : undefined;
		const request = "path" in source ? source : {};
		const { summary } = await this.workers.call({ do: "measure", request, streamed: body !== undefined }, body);
		if (!summary) throw new EngineError("internal", "the worker gave no result");
		return summary;
	}

	assemble(chainId: string, compression: "none" | "gzip"): AssembledLayer {
		const stream = this.workers.stream({ do: "assemble", request: this.recipe(this.store.get(chainId)), compression });
		return {
			body: asInternal(stream.pieces, `cannot put layer ${chainId} together`),
			summary: async () => {
				const { summary } = await stream.result;
				if (!summary) throw new EngineError("internal", `layer ${chainId} was not put together`);
				return summary;
			},
		};
	}

	tarSize(chainId: string): number {
		const layer = this.store.get(chainId);
		if (layer.tarSize === undefined) throw noRecipe(layer);
		return layer.tarSize;
	}

	async verify(chainId: string): Promise<void> {
		try {
			await this.workers.call({ do: "verify", request: this.recipe(this.store.get(chainId)) });
		} catch (cause) {
			throw internal(`layer ${chainId} is not as it was unpacked`, cause);
		}
	}

	size(chainId: string): number {
		return this.store.get(chainId).size;
	}

	async removeLayer(chainId: string): Promise<void> {
		const layer = this.store.find(chainId);
		if (layer) await this.store.remove(layer);
	}

	layers(): string[] {
		return this.store.chainIds();
	}

	layerPath(chainId: string): string {
		return this.store.directoryOf(this.store.get(chainId));
	}

	async prepare(id: string, chainIds: readonly string[], { bare = false } = {}): Promise<void> {
		const lower = chainIds.map((chainId) => this.store.get(chainId).number).reverse();
		const directory = this.directoryOf(id);
		fs.mkdirSync(directory, { mode: 0o711 });
		try {
			for (const name of ["upper", "work", "merged"]) fs.mkdirSync(join(directory, name), { mode: 0o755 });
			const top = lower[0];
			if (top !== undefined) copyOwner(this.store.directoryOf({ number: top }), join(directory, "upper"));
			// An overlay needs something below.
			const isBare = bare && lower.length > 0;
			if (isBare) fs.writeFileSync(join(directory, BARE), "");
			const etc = isBare ? undefined : etcOwner(lower.map((number) => this.store.directoryOf({ number })));
			if (etc !== undefined) {
				fs.mkdirSync(join(directory, "upper/etc"));
				copyOwner(etc, join(directory, "upper/etc"));
			}
			fs.writeFileSync(join(directory, "lower.json"), JSON.stringify(lower));
		} catch (error) {
			fs.rmSync(directory, { recursive: true, force: true });
			throw error;
		}
	}

	mount(id: string): string {
		const directory = this.directoryOf(id);
		const target = join(directory, "merged");
		if (isMountPoint(directory, target)) return target;
		const lower = this.lowerOf(id);
		const lowerdir = [...this.initOf(id), ...lower.map((number) => `layers/${number}`)].join(":");
		const data = `lowerdir=${lowerdir},upperdir=active/${id}/upper,workdir=active/${id}/work,index=off,redirect_dir=off,metacopy=off`;
		// Relative to the root, so that long chains fit. Nothing else runs between the two chdir.
		const before = process.cwd();
		process.chdir(this.root);
		try {
			mount({ source: "overlay", target, type: "overlay", data });
		} finally {
			process.chdir(before);
		}
		return target;
	}

	private initOf(id: string): string[] {
		return fs.existsSync(join(this.directoryOf(id), BARE)) ? [] : [INIT];
	}

	rootOf(id: string): string {
		return join(this.directoryOf(id), "merged");
	}

	describe(id: string): SnapshotPaths {
		const { upper, lower } = this.directoriesOf(id);
		return {
			LowerDir: lower.join(":"),
			UpperDir: upper,
			WorkDir: join(this.directoryOf(id), "work"),
			MergedDir: this.rootOf(id),
		};
	}

	unmount(id: string): void {
		unmount(this.rootOf(id));
	}

	async remove(id: string): Promise<void> {
		const directory = this.directoryOf(id);
		if (!fs.existsSync(directory)) return;
		while (unmount(join(directory, "merged"))) {}
		this.store.discard(directory);
	}

	active(): string[] {
		return fs.readdirSync(join(this.root, "active"));
	}

	async usage(id: string): Promise<number> {
		// du --bytes --summarize UPPER; a process, so that a big tree does not hold the loop
		const du = Bun.spawn(["find", join(this.directoryOf(id), "upper"), "-type", "f", "-printf", "%s\\n"], {
			stderr: "ignore",
		});
		const text = await new Response(du.stdout).text();
		return text.split("\n").reduce((sum, line) => sum + Number(line), 0);
	}

	async changes(id: string): Promise<{ path: string; kind: "modified" | "added" | "deleted" }[]> {
		const { changes } = await this.workers.call({ do: "changes", snapshot: this.directoriesOf(id) });
		return [...(changes ?? [])];
	}

	archiveChanges(id: string): AsyncIterable<Uint8Array> {
		return this.archive("archive-changes", id);
	}

	archiveRoot(id: string): AsyncIterable<Uint8Array> {
		return this.archive("archive-root", id);
	}

	archiveCopy(copy: LayerCopy): AsyncIterable<Uint8Array> {
		return this.workers.stream({ do: "archive-copy", copy }).pieces;
	}

	/** Ends the workers and waits for deletions under way. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.workers[Symbol.dispose]();
		await this.store.close();
	}

	private archive(what: "archive-changes" | "archive-root", id: string): AsyncIterable<Uint8Array> {
		const stream: LayerStream = this.workers.stream({ do: what, snapshot: this.directoriesOf(id) });
		return asInternal(stream.pieces, `cannot archive the files of ${id}`);
	}

	/** To a draft that the caller commits or gives up. Nothing is left when it throws. */
	private async unpack(
		request: Pick<ExtractRequest, "source" | "onProgress"> & Partial<Pick<ExtractRequest, "diffId">>,
	): Promise<{ draft: LayerDraft; unpacked: Unpacked }> {
		const draft = await this.store.draft();
		const { source, diffId, onProgress } = request;
		const { body, ...rest } = "body" in source ? source : { ...source, body: undefined };
		const { directory, recipe } = draft;
		const task = { ...rest, diffId, directory, recipe, limits: this.limits };
		try {
			const { unpacked } = await this.workers.call(
				{ do: "unpack", request: task, streamed: body !== undefined },
				body,
				onProgress,
			);
			if (!unpacked) throw new Error("the worker gave no result");
			return { draft, unpacked };
		} catch (cause) {
			await this.store.abandon(draft);
			throw asUnpackError(diffId, cause);
		}
	}

	/** A layer that got there first stays. */
	private async commit(chainId: string, unpacked: Unpacked, draft: LayerDraft): Promise<{ size: number }> {
		const isFirst = !this.has(chainId) && (await this.store.commit({ chainId, number: draft.number, ...unpacked }));
		if (!isFirst) await this.store.discardDraft(draft);
		return { size: this.size(chainId) };
	}

	private recipe(layer: Layer) {
		if (layer.diffId === undefined) throw noRecipe(layer);
		return { directory: this.store.directoryOf(layer), recipe: this.store.recipeOf(layer), diffId: layer.diffId };
	}

	private directoriesOf(id: string): SnapshotDirectories {
		const lower = this.lowerOf(id).map((number) => this.store.directoryOf({ number }));
		return {
			upper: join(this.directoryOf(id), "upper"),
			lower: [...this.initOf(id).map((name) => join(this.root, name)), ...lower],
		};
	}

	private lowerOf(id: string): number[] {
		return JSON.parse(fs.readFileSync(join(this.directoryOf(id), "lower.json"), "utf8")) as number[];
	}

	private directoryOf(id: string): string {
		if (!/^[A-Za-z0-9][\w.-]*$/.test(id)) throw new EngineError("invalid", `invalid snapshot id ${JSON.stringify(id)}`);
		return join(this.root, "active", id);
	}
}

/** What the source itself threw in the engine's words stays as it is. */
function asUnpackError(diffId: string | undefined, cause: unknown): EngineError {
	if (cause instanceof EngineError) return cause;
	const full = /ENOSPC|no space left/i.test(messageOf(cause));
	const text = full ? `no space left on device: ${messageOf(cause)}` : messageOf(cause);
	const what = diffId === undefined ? "cannot unpack layer" : `cannot unpack layer ${diffId}`;
	return new EngineError(full ? "internal" : "invalid", `${what}: ${text}`, { cause });
}

function chainIdOf(parent: string | undefined, diffId: string): string {
	return (parent === undefined ? diffId : chainIds([parent, diffId])[1]) ?? diffId;
}

/** A source that is not needed is told so: a registry's answer would stay open. */
function release(source: LayerSource): void {
	if (!("body" in source)) return;
	source.body[Symbol.asyncIterator]()
		.return?.()
		?.catch(() => undefined);
}

async function* asInternal(pieces: AsyncIterable<Uint8Array>, what: string): AsyncGenerator<Uint8Array> {
	try {
		yield* pieces;
	} catch (cause) {
		throw internal(what, cause);
	}
}

function internal(what: string, cause: unknown): EngineError {
	return new EngineError("internal", `${what}: ${messageOf(cause)}`, { cause });
}

function noRecipe(layer: Layer): EngineError {
	const why =
		"an earlier version unpacked it and kept no recipe for its tar: remove the image and pull or load it again";
	return new EngineError("internal", `layer ${layer.chainId} cannot be put together: ${why}`);
}

function isMountPoint(parent: string, path: string): boolean {
	return fs.statSync(parent).dev !== fs.statSync(path).dev;
}
