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

/** The reply of `docker image inspect`. */
export function imageInspect(image: ImageRecord) {
	const { config } = image;
	const run = config.config ?? {};
	return {
		Id: image.id,
		RepoTags: image.tags,
		RepoDigests: image.digests,
		Parent: image.parent ?? "",
		Comment: config.history?.at(-1)?.comment ?? "",
		Created: image.created,
		DockerVersion: "",
		Author: config.author ?? "",
		Config: {
			Hostname: "",
			Domainname: "",
			User: "",
			AttachStdin: false,
			AttachStdout: false,
			AttachStderr: false,
			Tty: false,
			OpenStdin: false,
			StdinOnce: false,
			Image: "",
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
