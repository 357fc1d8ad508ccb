import type { ImageManifest, ImageRecord, Images, KeptManifest } from "../../engine/images/contract.ts";
import { ZERO_TIME } from "../../shared/time.ts";
import type { ImageSummary } from "./schema.ts";

/** A row of `docker images`. */
export function imageSummary(image: ImageRecord, sharedSize: number, containers: number): ImageSummary {
	return {
		Id: image.id,
		ParentId: image.parent ?? "",
		RepoTags: image.tags,
		RepoDigests: image.digests,
		Created: Math.max(0, Math.floor((Date.parse(image.created) || 0) / 1000)),
		Size: image.size,
		SharedSize: sharedSize,
		Labels: image.config.config?.Labels ?? null,
		Containers: containers,
	};
}

/** Fields of a container that an image has none of; clients of before 1.50 are told so. */
const CONTAINER_FIELDS = {
	Hostname: "",
	Domainname: "",
	AttachStdin: false,
	AttachStdout: false,
	AttachStderr: false,
	Tty: false,
	OpenStdin: false,
	StdinOnce: false,
	Image: "",
};
const EMPTY_CONFIG = {
	...CONTAINER_FIELDS,
	...{ User: "", Env: null, Cmd: null, Volumes: null, WorkingDir: "", Entrypoint: null, OnBuild: null, Labels: null },
};

/** The row as clients of an older API knew it. @param minor of the client's API version */
export function asOf(minor: number, row: ImageSummary): ImageSummary {
	const listed = (names: readonly string[]) => (minor < 43 && names.length === 0 ? null : names);
	const { RepoTags, RepoDigests } = row;
	return {
		...row,
		...(minor < 44 && { VirtualSize: row.Size }),
		...(minor < 43 && { RepoTags: listed(RepoTags ?? []), RepoDigests: listed(RepoDigests ?? []) }),
	};
}

/** The reply of `docker image inspect`. @param minor of the client's API version */
export function imageInspect(image: ImageRecord, minor = 51) {
	const { config } = image;
	const run = config.config ?? {};
	return {
		...(minor < 44 && { VirtualSize: image.size }),
		...(minor < 45 && { ContainerConfig: EMPTY_CONFIG }),
		Id: image.id,
		RepoTags: image.tags,
		RepoDigests: image.digests,
		Parent: image.parent ?? "",
		Comment: config.history?.at(-1)?.comment ?? "",
		Created: image.created,
		DockerVersion: "",
		Author: config.author ?? "",
		Config: {
			...(minor < 50 && CONTAINER_FIELDS),
			User: "",
			...run,
			Env: run.Env ?? null,
			Cmd: run.Cmd ?? null,
			Volumes: run.Volumes ?? null,
			WorkingDir: run.WorkingDir ?? "",
			Entrypoint: run.Entrypoint ?? null,
			OnBuild: run.OnBuild ?? null,
			Labels: run.Labels ?? null,
		},
		Architecture: config.architecture,
		...(config.variant ? { Variant: config.variant } : {}),
		Os: config.os,
		Size: image.size,
		GraphDriver: { Data: null, Name: "overlay2" },
		RootFS: { Type: "layers", ...(config.rootfs.diff_ids.length > 0 ? { Layers: config.rootfs.diff_ids } : {}) },
		Metadata: { LastTagTime: image.lastTagged ?? ZERO_TIME },
	};
}

/**
 * What `manifests=1` adds to a row or an inspection: the manifests of the index that it is kept with, or the image's own as far as a registry ever
 * sent it. Source: Docker Engine API v1.51, ImageManifestSummary.
 */
export function manifestSummaries(images: Pick<Images, "manifests" | "keptManifests">, image: ImageRecord) {
	const stored = images.manifests(image.id);
	const top = stored[0];
	if (!top) return {};
	const Descriptor = { mediaType: top.mediaType, digest: top.digest, size: top.bytes.length };
	const kept = images.keptManifests(image.id);
	return {
		Descriptor,
		Manifests: kept.length > 0 ? kept.map((one) => keptSummary(one, image)) : [ownSummary(image, stored)],
	};
}

function ownSummary(image: ImageRecord, stored: readonly ImageManifest[]) {
	const { mediaType = "", digest = "", bytes = new Uint8Array() } = stored.at(-1) ?? {};
	const { os, architecture, variant } = image.config;
	return {
		ID: digest,
		Descriptor: { mediaType, digest, size: bytes.length },
		Available: true,
		Size: { Content: bytes.length, Total: bytes.length + image.size },
		Kind: "image",
		ImageData: {
			Platform: { os, architecture, ...(variant ? { variant } : {}) },
			Size: { Unpacked: image.size },
			Containers: [],
		},
	};
}

function keptSummary(kept: KeptManifest, image: ImageRecord) {
	const { mediaType, digest, size, platform, contentSize, attestationFor } = kept;
	const unpacked = kept.imageId === image.id ? image.size : 0;
	const summary = {
		ID: digest,
		Descriptor: { mediaType, digest, size, ...(platform && { platform }) },
		Available: true,
		Size: { Content: contentSize, Total: contentSize + unpacked },
	};
	if (attestationFor !== undefined)
		return { ...summary, Kind: "attestation", AttestationData: { For: attestationFor } };
	const { os = "", architecture = "", variant } = platform ?? {};
	return {
		...summary,
		Kind: "image",
		ImageData: {
			Platform: { os, architecture, ...(variant ? { variant } : {}) },
			Size: { Unpacked: unpacked },
			Containers: [],
		},
	};
}
