import type { FetchedManifest, Registry, RegistryOptions } from "../../drivers/registry/driver.ts";
import { digestOf } from "../../oci/digest.ts";
import {
	type Descriptor,
	isIndexType,
	type Manifest,
	type Platform,
	parseManifestOrIndex,
} from "../../oci/manifest.ts";
import { familiarString, type Reference } from "../../oci/reference.ts";
import { EngineError } from "../../shared/errors.ts";
import { platformText } from "./platform.ts";

const MAX_NESTING = 4;
const MAX_LAYERS = 127;

/** Config types that say "this is an image". Helm charts, signatures, SBOMs and the like have others. */
const CONFIG_TYPES = ["application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"];

const LAYER_TYPE =
	/^application\/vnd\.(docker\.image\.rootfs\.diff\.tar(\.gzip|\.zstd)?|oci\.image\.layer\.(nondistributable\.)?v1\.tar(\+gzip|\+zstd)?)$/;

/** An image's manifest in a registry, with the documents that led to it: outermost first, the manifest itself last. */
export interface ChosenManifest {
	readonly manifest: Manifest;
	readonly path: readonly FetchedManifest[];
}

/** Follows indexes from `top` to the manifest of the platform. Everything is checked before anything of it is used. */
export async function chooseManifest(
	registry: Pick<Registry, "manifest">,
	reference: Reference,
	top: FetchedManifest,
	platform: Platform,
	options: RegistryOptions,
): Promise<ChosenManifest> {
	const name = familiarString(reference);
	const path = [top];
	for (let depth = 0; depth <= MAX_NESTING; depth++) {
		const at = path.at(-1) ?? top;
		const value = parseManifestOrIndex(new TextDecoder().decode(at.bytes), name);
		checkType(at, value.mediaType, "manifests" in value, name);
		if (!("manifests" in value)) return { manifest: checkManifest(value, name), path };
		const chosen = choosePlatform(value.manifests, platform);
		if (!chosen) {
			throw new EngineError(
				"not-found",
				`no matching manifest for ${platformText(platform)} in the manifest list entries`,
			);
		}
		const next = await registry.manifest({ ...reference, tag: undefined, digest: chosen.digest }, options);
		if (digestOf(next.bytes) !== chosen.digest || (chosen.size !== 0 && next.bytes.length !== chosen.size)) {
			throw new EngineError(
				"invalid",
				`manifest ${chosen.digest} of ${name} has ${next.bytes.length} bytes and digest ${digestOf(next.bytes)}, announced were ${chosen.size}`,
			);
		}
		path.push(next);
	}
	throw new EngineError("invalid", `cannot pull ${name}: its manifest lists are nested more than ${MAX_NESTING} deep`);
}

/** The best entry for the platform: docker's order of variants; one that names no platform only when nothing else fits. */
export function choosePlatform(entries: readonly Descriptor[], wanted: Platform): Descriptor | undefined {
	const images = entries.filter(
		(one) => one.annotations?.["vnd.docker.reference.type"] !== "attestation-manifest" && isManifestType(one.mediaType),
	);
	for (const accepted of accepts(wanted)) {
		const found = images.find(({ platform }) => platform !== undefined && isSame(platform, accepted));
		if (found) return found;
	}
	return images.find(({ platform }) => platform === undefined);
}

/** Platforms that run where `wanted` does, best first. Source: containerd/platforms, Only(). */
function accepts({ os, architecture, variant }: Platform): Platform[] {
	const list = (name: string, variants: readonly string[]) =>
		variants.map((one) => ({ os, architecture: name, variant: one }));
	if (architecture === "arm64") return [...list("arm64", ["v8", ""]), ...list("arm", ["v8", "v7", "v6", "v5"])];
	if (architecture === "arm") return list("arm", downFrom(["v8", "v7", "v6", "v5"], variant ?? "v7"));
	if (architecture === "amd64") return list("amd64", downFrom(["v4", "v3", "v2", "v1"], variant ?? "v1"));
	return list(architecture, [variant ?? ""]);
}

function downFrom(variants: readonly string[], first: string): readonly string[] {
	const at = variants.indexOf(first);
	return at < 0 ? [first] : variants.slice(at);
}

function isSame(one: Platform, wanted: Platform): boolean {
	const standard: Record<string, string> = { arm64: "v8", arm: "v7", amd64: "v1" };
	const variantOf = (platform: Platform) => platform.variant || (standard[platform.architecture] ?? "");
	return one.os === wanted.os && one.architecture === wanted.architecture && variantOf(one) === variantOf(wanted);
}

/** Whether it leads to an image; nothing said is taken for yes. */
export function isManifestType(mediaType: string): boolean {
	return (
		mediaType === "" ||
		isIndexType(mediaType) ||
		mediaType === "application/vnd.oci.image.manifest.v1+json" ||
		mediaType === "application/vnd.docker.distribution.manifest.v2+json"
	);
}

/** What the registry said it is, what it says of itself and what it is must agree. */
function checkType(fetched: FetchedManifest, ownType: string, isIndex: boolean, name: string): void {
	const type = fetched.mediaType || ownType;
	if (/distribution\.manifest\.v1\+(json|prettyjws)$/.test(type)) {
		throw new EngineError(
			"invalid",
			`cannot pull ${name}: its manifest has the old schema version 1, which is not supported`,
		);
	}
	if (!isManifestType(type)) throw new EngineError("invalid", `unsupported manifest media type ${type} of ${name}`);
	if (type !== "" && (isIndexType(type) !== isIndex || (ownType !== "" && ownType !== type))) {
		throw new EngineError(
			"invalid",
			`the manifest of ${name} was sent as ${type}, but says it is ${ownType || "none"}`,
		);
	}
}

function checkManifest(manifest: Manifest, name: string): Manifest {
	const { config, layers } = manifest;
	if (config.mediaType !== "" && !CONFIG_TYPES.includes(config.mediaType)) {
		throw new EngineError("invalid", `cannot pull ${name}: it is no image but an OCI artifact (${config.mediaType})`);
	}
	if (layers.length > MAX_LAYERS)
		throw new EngineError("invalid", `max depth exceeded: ${layers.length} layers, allowed are ${MAX_LAYERS}`);
	const odd = layers.find((layer) => layer.mediaType !== "" && !LAYER_TYPE.test(layer.mediaType));
	if (odd) throw new EngineError("invalid", `cannot pull ${name}: unsupported layer media type ${odd.mediaType}`);
	return manifest;
}
