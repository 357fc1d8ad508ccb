import type { Credentials } from "../../drivers/registry/driver.ts";
import type { ImageConfig, ImageHistory, ImageRunConfig } from "../../oci/image.ts";
import type { Descriptor, Platform } from "../../oci/manifest.ts";
import type { RegistryCredentials } from "./credentials.ts";

/** One stored image. Sizes in bytes, unpacked, as docker counts. */
export interface ImageRecord {
	/** `sha256:` and the digest of `configJson`. */
	readonly id: string;
	/** The configuration byte for byte: its sha256 is the id. */
	readonly configJson: string;
	readonly config: ImageConfig;
	/** chainIDs, base first, one for each diffID. */
	readonly chain: readonly string[];
	/** Familiar form with tag: `busybox:latest`, `127.0.0.1:5000/app:1`. */
	readonly tags: readonly string[];
	/** `busybox@sha256:...` */
	readonly digests: readonly string[];
	readonly size: number;
	/** RFC 3339: when a tag was last put on it. */
	readonly lastTagged?: string;
	readonly created: string;
	/** The image that a build made it from, while that is there. */
	readonly parent?: string;
}

/** One step of a build: what becomes of an image. */
export interface StepRequest {
	/** Image id; undefined: there is nothing below. */
	readonly parent?: string;
	/** The new layer's tar; undefined: only the configuration changes. */
	readonly layer?: AsyncIterable<Uint8Array>;
	readonly config: ImageRunConfig;
	readonly author: string;
	/** For the history. */
	readonly createdBy: string;
	readonly comment?: string;
	readonly containerId?: string;
	/** It adds no line to the history. */
	readonly unrecorded?: boolean;
	/** In place of a new line of history. */
	readonly historyLine?: ImageHistory;
	/** Without a parent. */
	readonly platform: Platform;
	/** By which the same step over the same parent is found again. */
	readonly cacheKey: string;
}

export interface PullOptions {
	/** A tag or a digest; wins over the one in the name. */
	readonly tag?: string;
	/** `linux/arm64`; the host's when not given. `all`: the host's, and the whole index is kept with all of its platforms. */
	readonly platform?: string;
	readonly credentials?: Credentials;
	readonly signal?: AbortSignal;
}

export interface PushOptions {
	/** All tags of the repository when not given. */
	readonly tag?: string;
	/** One platform of a kept index, or the one that the image is of; not given: all that is here. */
	readonly platform?: string;
	readonly credentials?: Credentials;
	readonly signal?: AbortSignal;
}

export interface ImportOptions {
	readonly repo?: string;
	readonly tag?: string;
	readonly message?: string;
	/** Dockerfile instructions. */
	readonly changes: readonly string[];
	readonly platform?: string;
}

export interface CommitRequest {
	/** Image id. */
	readonly parent: string;
	/** The new layer's tar. */
	readonly layer: AsyncIterable<Uint8Array>;
	readonly config: ImageRunConfig;
	/** Dockerfile instructions over `config`. */
	readonly changes: readonly string[];
	readonly author: string;
	readonly comment: string;
	/** What made the layer, for the history. */
	readonly command: string;
	readonly containerId: string;
	readonly repo?: string;
	readonly tag?: string;
}

export interface SearchOptions {
	/** 1 to 100 */
	readonly limit: number;
	readonly filters: { readonly stars?: number; readonly official?: boolean; readonly automated?: boolean };
	readonly credentials?: Credentials;
	readonly signal?: AbortSignal;
}

export interface FoundRepository {
	readonly name: string;
	readonly description: string;
	readonly starCount: number;
	readonly isOfficial: boolean;
	readonly isAutomated: boolean;
}

/** What api and engine/containers ask of the images noun. */
export interface Images {
	/** By name[:tag], name@digest, id or id prefix with or without `sha256:`. "not-found" `No such image: REF` (tag written out). */
	resolve(ref: string): ImageRecord;
	/** "not-found" in docker's words unless the image is of this platform (`linux/arm64`). */
	requirePlatform(ref: string, platform: string): void;
	/**
	 * The image of this platform under a name or id: its own, or one that is kept with it (without a chain when it is not unpacked). "not-found" in
	 * docker's words when there is none.
	 */
	resolvePlatform(ref: string, platform: string): ImageRecord;
	list(): readonly ImageRecord[];
	/** Reads an archive from a stream of bytes; yields docker's progress lines (`{"stream":"Loaded image: x\n"}`). Refuses all and keeps nothing on error. */
	load(
		body: AsyncIterable<Uint8Array>,
		options: { quiet: boolean; platform?: string },
	): AsyncIterable<Record<string, unknown>>;
	/**
	 * Pulls one tag or digest, or all tags when none is given; yields docker's progress lines. What fails before the first line throws at the
	 * first read. Layers of an interrupted pull are kept for the next.
	 */
	pull(name: string, options: PullOptions): AsyncIterable<Record<string, unknown>>;
	/** Pushes one tag or all of the repository; yields docker's progress lines. */
	push(name: string, options: PushOptions): AsyncIterable<Record<string, unknown>>;
	/** What a registry has under the name, and for which platforms. */
	describe(
		name: string,
		options: { credentials?: Credentials; signal?: AbortSignal },
	): Promise<{ descriptor: Descriptor; platforms: readonly Platform[] }>;
	search(term: string, options: SearchOptions): Promise<FoundRepository[]>;
	/** `docker login`: tries the credentials on their registry. */
	login(credentials: Credentials, signal?: AbortSignal): Promise<{ status: string; identityToken: string }>;
	/** Reads every layer again and compares it with its digest; with `repair` what is damaged is fetched again from where it came. */
	check(options: {
		repair: boolean;
		credentials?: RegistryCredentials;
		signal?: AbortSignal;
	}): AsyncIterable<LayerCheck>;
	/** `docker save`: an archive of these images that every engine loads. Throws at once when one is not there. */
	save(refs: readonly string[], options: { platform?: string }): AsyncIterable<Uint8Array>;
	/** An image of the parent's layers and one more. */
	commit(request: CommitRequest): Promise<{ id: string; name?: string }>;
	/** An image for a step of a build, without a name; its parent and key are kept for the cache. */
	addStep(request: StepRequest): Promise<ImageRecord>;
	/** The newest image that this step made from this parent; undefined: none is there. */
	findStep(parent: string | undefined, cacheKey: string): ImageRecord | undefined;
	/** `docker import`: one layer from a tar; `changes` are Dockerfile instructions. Returns the new image's id. */
	importTar(body: AsyncIterable<Uint8Array>, options: ImportOptions): Promise<string>;
	/** The same from a URL. */
	importUrl(url: string, options: ImportOptions & { signal?: AbortSignal }): Promise<string>;
	tag(ref: string, repo: string, tag: string): void;
	/** docker's delete reply. "conflict" when a container or several tags need it, in docker's words. */
	remove(ref: string, options: { force: boolean; noPrune: boolean }): Promise<Removed[]>;
	/** Deletes images that no container uses and `accepts` holds for; with `danglingOnly` those without a tag. Bytes reclaimed. */
	prune(options: {
		danglingOnly: boolean;
		accepts: (image: ImageRecord) => boolean;
	}): Promise<{ deleted: Removed[]; reclaimed: number }>;
	usage(): ImageUsage;
	/** Manifests as registries sent them: the index first where there is one. */
	manifests(imageId: string): readonly ImageManifest[];
	/** What an image is kept with: the manifests of the whole index; none when only its own platform is here. */
	keptManifests(imageId: string): readonly KeptManifest[];
	/** How many containers use the image. */
	userCount(imageId: string): number;
	history(
		ref: string,
		platform?: string,
	): { Id: string; Created: number; CreatedBy: string; Tags: string[] | null; Size: number; Comment: string }[];
	/** Counts every change. */
	readonly revision: number;
}

/** A manifest or index exactly as a registry has it. */
export interface ImageManifest {
	readonly digest: string;
	readonly mediaType: string;
	readonly bytes: Uint8Array;
}

/** One manifest of a kept index. Sizes in bytes. */
export interface KeptManifest {
	readonly digest: string;
	readonly mediaType: string;
	/** Of the manifest itself. */
	readonly size: number;
	readonly platform?: Platform;
	/** Digest of its configuration. */
	readonly imageId: string;
	/** Of all that it needs, packed. */
	readonly contentSize: number;
	/** The manifest that it attests something of; undefined: it is an image. */
	readonly attestationFor?: string;
}

/** What a check found of one layer, or of one part of a kept index (then both ids are its digest). */
export interface LayerCheck {
	readonly chainId: string;
	readonly diffId: string;
	/** Names of the images that have it. */
	readonly images: readonly string[];
	readonly status: "ok" | "damaged" | "repaired";
	readonly detail?: string;
}

export type Removed = { Untagged: string } | { Deleted: string };

/** Bytes on disk. */
export interface ImageUsage {
	/** By image: bytes of its layers that other images have too. */
	readonly sharedSizes: ReadonlyMap<string, number>;
	/** All layers, each once. */
	readonly layersSize: number;
}

/** Which containers use an image; engine/containers provides it, so that images need not know it. */
export type ImageUsers = (imageId: string) => readonly { id: string; running: boolean }[];
