import { chainIds } from "../../oci/digest.ts";
import { parseStoredConfig } from "../../oci/image-config.ts";
import {
	familiarString,
	isTag,
	parseNewTag,
	parseReference,
	parseTagged,
	type Reference,
} from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import { ZERO_TIME } from "../../shared/time.ts";
import type { BuildStore } from "../../store/build.ts";
import type { ImageStore } from "../../store/images.ts";
import type { ImageRecord } from "./contract.ts";

/** The stored images as records, found by every form of name. */
export class Catalog {
	private readonly images = new Map<string, ImageRecord>();
	private changes = 0;

	constructor(
		private readonly store: ImageStore,
		private readonly builds?: Pick<BuildStore, "parents">,
	) {
		this.refresh();
	}

	get revision(): number {
		return this.changes;
	}

	get(id: string): ImageRecord | undefined {
		return this.images.get(id);
	}

	list(): readonly ImageRecord[] {
		return [...this.images.values()];
	}

	/** Contract: Images.resolve. */
	resolve(ref: string): ImageRecord {
		const found = this.find(ref);
		if (found) return found;
		throw new EngineError("not-found", `No such image: ${shownName(ref)}`);
	}

	find(ref: string): ImageRecord | undefined {
		const hex = ref.startsWith("sha256:") ? ref.slice(7) : ref;
		if (/^[0-9a-f]{64}$/.test(hex)) return this.images.get(`sha256:${hex}`);
		const named = ref.startsWith("sha256:") ? undefined : this.findNamed(ref);
		if (named || !/^[0-9a-f]{1,64}$/.test(hex)) return named;
		const found = this.list().filter((image) => image.id.startsWith(`sha256:${hex}`));
		if (found.length > 1)
			throw new EngineError("invalid", `ambiguous image id ${ref}: ${found.length} images start with it`);
		return found[0];
	}

	/** Reads the store again; call after every change of it. */
	refresh(): void {
		this.changes++;
		const before = new Map(this.images);
		this.images.clear();
		const parents = this.builds?.parents();
		for (const row of this.store.list()) {
			// The id is the configuration's digest: what was parsed once stays so.
			const known = before.get(row.id);
			const config = known?.config ?? parseStoredConfig(row.config);
			this.images.set(row.id, {
				id: row.id,
				configJson: row.config,
				config,
				chain: known?.chain ?? chainIds(config.rootfs.diff_ids),
				parent: parents?.get(row.id),
				tags: row.references.filter((name) => !name.includes("@")),
				digests: row.references.filter((name) => name.includes("@")),
				size: row.size,
				lastTagged: row.lastTagged ?? undefined,
				created: config.created ?? ZERO_TIME,
			});
		}
	}

	private findNamed(ref: string): ImageRecord | undefined {
		const name = storedName(ref);
		return this.list().find((image) => references(image).includes(name));
	}
}

/** All names that point at the image. */
export function references(image: ImageRecord): string[] {
	return [...image.tags, ...image.digests];
}

/** The name a reference is stored under: with a digest, its tag does not count. */
export function storedName(ref: string): string {
	const reference = parseTagged(ref);
	return familiarString(reference.digest === undefined ? reference : { ...reference, tag: undefined });
}

/** `repo` with `tag`, or with `latest`. Throws "invalid" for a digest: those are given by registries. */
export function taggedReference(repo: string, tag: string | undefined): Reference {
	const reference = parseReference(repo);
	if (reference.digest !== undefined) throw new EngineError("invalid", "cannot import digest reference");
	if (tag && !isTag(tag)) throw new EngineError("invalid", "invalid tag format");
	return parseNewTag(tag ? `${familiarString({ ...reference, tag: undefined })}:${tag}` : repo);
}

function shownName(ref: string): string {
	if (ref.startsWith("sha256:")) return ref;
	return /^[0-9a-f]{64}$/.test(ref) ? `sha256:${ref}` : familiarString(parseTagged(ref));
}
