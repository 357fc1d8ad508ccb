import type { ImageManifest, ImageRecord } from "../../engine/images/contract.ts";
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
 * What `manifests=1` adds to a row or an inspection: the image's own manifest, as far as a registry ever sent it.
 * Source: Docker Engine API v1.51, ImageManifestSummary.
 */
export function manifestSummaries(image: ImageRecord, manifests: readonly ImageManifest[]) {
	const top = manifests[0];
	const own = manifests.at(-1);
	if (!top || !own) return {};
	const descriptorOf = ({ mediaType, digest, bytes }: ImageManifest) => ({ mediaType, digest, size: bytes.length });
	const { os, architecture, variant } = image.config;
	return {
		Descriptor: descriptorOf(top),
		Manifests: [
			{
				ID: own.digest,
				Descriptor: descriptorOf(own),
				Available: true,
				Size: { Content: own.bytes.length, Total: own.bytes.length + image.size },
				Kind: "image",
				ImageData: {
					Platform: { os, architecture, ...(variant ? { variant } : {}) },
					Size: { Unpacked: image.size },
					Containers: [],
				},
			},
		],
	};
}
