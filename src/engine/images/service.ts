import type { Archive, Content } from "../../drivers/content/driver.ts";
import type { Snapshotter } from "../../drivers/snapshotter/driver.ts";
import { chainIds, digestOf } from "../../oci/digest.ts";
import { parseImageConfig } from "../../oci/image-config.ts";
import { hostPlatform, parsePlatform } from "../../oci/manifest.ts";
import { familiarString, parseReference, parseTagged, repositoryOf } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import { shortId } from "../../shared/id.ts";
import { nowNano, ZERO_TIME } from "../../shared/time.ts";
import type { ImageStore } from "../../store/images.ts";
import type { Events } from "../events.ts";
import { type ArchivedImage, readArchive } from "./archive.ts";
import { applyChanges } from "./changes.ts";
import type { ImageRecord, Images, ImageUsers } from "./contract.ts";

export interface ImagesParts {
	readonly store: ImageStore;
	readonly snapshotter: Snapshotter;
	readonly content: Content;
	readonly events: Pick<Events, "publish">;
	readonly users: ImageUsers;
	/** chainIDs that containers stand on. */
	readonly chainsInUse: () => Iterable<string>;
}

type Removed = { Untagged: string } | { Deleted: string };
type ImportOptions = Parameters<Images["importTar"]>[1];

/** The images noun. Layers are committed first and the record after: what a crash leaves is swept here at the next start. */
export class ImagesService implements Images {
	private readonly images = new Map<string, ImageRecord>();
	/** chainIDs of loads under way, so that a concurrent remove leaves them. */
	private readonly loading = new Map<string, number>();
	private changes = 0;

	constructor(private readonly parts: ImagesParts) {
		this.refresh();
	}

	get revision(): number {
		return this.changes;
	}

	/** Deletes layers that neither an image nor a container needs. Call once at start, when containers are known. */
	async sweep(): Promise<void> {
		await this.releaseLayers(this.parts.snapshotter.layers());
	}

	resolve(ref: string): ImageRecord {
		const found = this.find(ref);
		if (found) return found;
		throw new EngineError("not-found", `No such image: ${shownName(ref)}`);
	}

	list(): readonly ImageRecord[] {
		return [...this.images.values()];
	}

	async *load(
		body: AsyncIterable<Uint8Array>,
		options: { quiet: boolean; platform?: string },
	): AsyncIterable<Record<string, unknown>> {
		const platform = options.platform ? parsePlatform(options.platform) : hostPlatform();
		await using archive = await this.parts.content.spoolArchive(body);
		const found = await readArchive(archive, platform);
		const chains = found.flatMap((image) => chainIds(image.config.rootfs.diff_ids));
		this.hold(chains);
		try {
			for (const image of found) await this.extractAll(archive, image);
			for (const image of found) this.save(image);
		} finally {
			this.unhold(chains);
			await this.releaseLayers(chains);
		}
		for (const image of found) {
			this.publish("load", image.id, image.tags[0] ?? image.id);
			for (const tag of image.tags) yield { stream: `Loaded image: ${tag}\n` };
			if (image.tags.length === 0) yield { stream: `Loaded image ID: ${image.id}\n` };
		}
	}

	async importTar(body: AsyncIterable<Uint8Array>, options: ImportOptions): Promise<string> {
		const platform = options.platform ? parsePlatform(options.platform) : hostPlatform();
		const run = applyChanges({}, options.changes);
		const tags = options.repo ? [familiarString(tagged(options.repo, options.tag))] : [];
		await using layer = await this.parts.content.spoolLayer(body);
		const created = new Date().toISOString();
		const configJson = JSON.stringify({
			...platform,
			created,
			config: run,
			rootfs: { type: "layers", diff_ids: [layer.diffId] },
			history: [{ created, comment: options.message ?? "" }],
		});
		const id = digestOf(configJson);
		const image = { id, configJson, config: parseImageConfig(configJson), tags, layers: [] };
		this.hold([layer.diffId]);
		try {
			const { diffId } = layer;
			await this.parts.snapshotter.extract({ chainId: diffId, diffId, source: { path: layer.path } });
			this.save(image);
		} finally {
			this.unhold([layer.diffId]);
			await this.releaseLayers([layer.diffId]);
		}
		this.publish("import", id, id);
		return id;
	}

	tag(ref: string, repo: string, tag: string): void {
		const image = this.resolve(ref);
		const name = familiarString(tagged(repo, tag));
		this.parts.store.tag(name, image.id, nowNano());
		this.refresh();
		this.publish("tag", image.id, name);
	}

	async remove(ref: string, options: { force: boolean; noPrune: boolean }): Promise<Removed[]> {
		const image = this.resolve(ref);
		const byId = isIdPrefix(ref, image.id);
		const removed = byId ? this.untagById(image, options.force) : this.untagByName(image, ref, options.force);
		const left = this.images.get(image.id);
		if (!left) return removed;
		if (!byId && references(left).length > 0) return removed;
		const conflict = this.deleteConflict(left, options.force, true);
		if (conflict) {
			// By name the tag is gone, which is what was asked for.
			if (!byId) return removed;
			throw conflict;
		}
		for (const name of references(left)) removed.push(this.untag(name, left.id));
		this.parts.store.remove(left.id);
		this.refresh();
		this.publish("delete", left.id, left.id);
		removed.push({ Deleted: left.id });
		const gone = await this.releaseLayers(left.chain);
		return [...removed, ...gone.map((chainId) => ({ Deleted: chainId }))];
	}

	history(ref: string): ReturnType<Images["history"]> {
		const image = this.resolve(ref);
		let layer = 0;
		const rows = (image.config.history ?? []).map((entry) => {
			const chainId = entry.empty_layer ? undefined : image.chain[layer++];
			return {
				Id: "<missing>",
				Created: seconds(entry.created),
				CreatedBy: entry.created_by ?? "",
				Tags: null as string[] | null,
				Size: chainId === undefined ? 0 : this.parts.snapshotter.size(chainId),
				Comment: entry.comment ?? "",
			};
		});
		const top = rows.reverse()[0];
		if (top) {
			top.Id = image.id;
			top.Tags = image.tags.length > 0 ? [...image.tags] : null;
		}
		return rows;
	}

	private find(ref: string): ImageRecord | undefined {
		const hex = ref.startsWith("sha256:") ? ref.slice(7) : ref;
		if (/^[0-9a-f]{64}$/.test(hex)) return this.images.get(`sha256:${hex}`);
		const named = ref.startsWith("sha256:") ? undefined : this.findNamed(ref);
		if (named || !/^[0-9a-f]{1,64}$/.test(hex)) return named;
		const found = this.list().filter((image) => image.id.startsWith(`sha256:${hex}`));
		if (found.length > 1)
			throw new EngineError("invalid", `ambiguous image id ${ref}: ${found.length} images start with it`);
		return found[0];
	}

	private findNamed(ref: string): ImageRecord | undefined {
		const reference = parseTagged(ref);
		const name = familiarString(reference.digest === undefined ? reference : { ...reference, tag: undefined });
		return this.list().find((image) => references(image).includes(name));
	}

	/** An id names all: that works when all tags are of one repository, or by force. */
	private untagById(image: ImageRecord, force: boolean): Removed[] {
		const single = isSingleReference(references(image));
		const conflict = this.deleteConflict(image, force, !single);
		if (conflict) throw conflict;
		return references(image).map((name) => this.untag(name, image.id));
	}

	private untagByName(image: ImageRecord, ref: string, force: boolean): Removed[] {
		const reference = parseTagged(ref);
		const name = familiarString(reference.digest === undefined ? reference : { ...reference, tag: undefined });
		const user = this.parts.users(image.id)[0];
		if (!force && user && isSingleReference(references(image))) {
			throw new EngineError(
				"conflict",
				`conflict: unable to remove repository reference "${ref}" (must force) - container ${shortId(user.id)} is using its referenced image ${shortId(image.id)}`,
			);
		}
		const removed = [this.untag(name, image.id)];
		const repository = repositoryOf(name);
		const left = references(this.images.get(image.id) ?? image);
		const ofRepository = left.filter((one) => repositoryOf(one) === repository);
		const onlyDigests = ofRepository.every((one) => one.includes("@"));
		return onlyDigests ? [...removed, ...ofRepository.map((one) => this.untag(one, image.id))] : removed;
	}

	private deleteConflict(image: ImageRecord, force: boolean, checkReferences: boolean): EngineError | undefined {
		const users = this.parts.users(image.id);
		const running = users.find((user) => user.running);
		const fail = (how: string, why: string) =>
			new EngineError("conflict", `conflict: unable to delete ${shortId(image.id)} (${how}) - ${why}`);
		if (running) return fail("cannot be forced", `image is being used by running container ${shortId(running.id)}`);
		if (force) return undefined;
		if (checkReferences && references(image).length > 0)
			return fail("must be forced", "image is referenced in multiple repositories");
		const stopped = users[0];
		return stopped && fail("must be forced", `image is being used by stopped container ${shortId(stopped.id)}`);
	}

	private untag(name: string, imageId: string): Removed {
		this.parts.store.untag(name);
		this.refresh();
		this.publish("untag", imageId, name);
		return { Untagged: name };
	}

	private async extractAll(archive: Archive, image: ArchivedImage): Promise<void> {
		const diffIds = image.config.rootfs.diff_ids;
		const chain = chainIds(diffIds);
		for (const [i, name] of image.layers.entries()) {
			const chainId = chain[i] ?? "";
			// Known layers may be left out of an archive, but a damaged one is only read when it is new.
			if (this.parts.snapshotter.has(chainId)) continue;
			const file = archive.file(name);
			if (!file) throw new EngineError("invalid", `invalid archive: layer ${name} is missing`);
			await this.parts.snapshotter.extract({
				chainId,
				parentChainId: chain[i - 1],
				diffId: diffIds[i] ?? "",
				source: { path: file.path },
			});
		}
	}

	private save(image: ArchivedImage): void {
		const size = chainIds(image.config.rootfs.diff_ids).reduce(
			(sum, chainId) => sum + this.parts.snapshotter.size(chainId),
			0,
		);
		this.parts.store.save({ id: image.id, config: image.configJson, size }, image.tags, nowNano());
		this.refresh();
	}

	/** Top first. */
	private async releaseLayers(candidates: readonly string[]): Promise<string[]> {
		const needed = new Set([
			...this.list().flatMap((image) => image.chain),
			...this.parts.chainsInUse(),
			...this.loading.keys(),
		]);
		const gone = [...new Set(candidates)]
			.reverse()
			.filter((chainId) => !needed.has(chainId) && this.parts.snapshotter.has(chainId));
		for (const chainId of gone) await this.parts.snapshotter.removeLayer(chainId);
		return gone;
	}

	private hold(chains: readonly string[]): void {
		for (const chainId of chains) this.loading.set(chainId, (this.loading.get(chainId) ?? 0) + 1);
	}

	private unhold(chains: readonly string[]): void {
		for (const chainId of chains) {
			const count = (this.loading.get(chainId) ?? 1) - 1;
			if (count === 0) this.loading.delete(chainId);
			else this.loading.set(chainId, count);
		}
	}

	private refresh(): void {
		this.changes++;
		this.images.clear();
		for (const row of this.parts.store.list()) {
			const config = parseImageConfig(row.config);
			this.images.set(row.id, {
				id: row.id,
				config,
				chain: chainIds(config.rootfs.diff_ids),
				tags: row.references.filter((name) => !name.includes("@")),
				digests: row.references.filter((name) => name.includes("@")),
				size: row.size,
				lastTagged: row.lastTagged ?? undefined,
				created: config.created ?? ZERO_TIME,
			});
		}
	}

	private publish(action: string, id: string, name: string): void {
		this.parts.events.publish("image", action, id, { ...this.images.get(id)?.config.config?.Labels, name });
	}
}

function references(image: ImageRecord): string[] {
	return [...image.tags, ...image.digests];
}

/** At most one tag, and all within one repository. */
function isSingleReference(names: readonly string[]): boolean {
	const tags = names.filter((name) => !name.includes("@"));
	return tags.length <= 1 && new Set(names.map(repositoryOf)).size <= 1;
}

function isIdPrefix(ref: string, id: string): boolean {
	return id.startsWith(ref) || id.startsWith(`sha256:${ref}`);
}

function tagged(repo: string, tag: string | undefined) {
	const reference = parseReference(repo);
	if (reference.digest !== undefined)
		throw new EngineError("invalid", "refusing to create a tag with a digest reference");
	return parseTagged(tag ? `${familiarString({ ...reference, tag: undefined })}:${tag}` : repo);
}

function shownName(ref: string): string {
	if (ref.startsWith("sha256:")) return ref;
	return /^[0-9a-f]{64}$/.test(ref) ? `sha256:${ref}` : familiarString(parseTagged(ref));
}

function seconds(time: string | undefined): number {
	const millis = Date.parse(time ?? ZERO_TIME);
	return Number.isNaN(millis) ? 0 : Math.floor(millis / 1000);
}
