import { EngineError } from "../shared/errors.ts";
import { repeatedKey } from "../shared/repeated-key.ts";
import { isDigest } from "./digest.ts";

/** Points at a blob. Source: OCI image spec, descriptor.md. */
export interface Descriptor {
	readonly mediaType: string;
	readonly digest: string;
	/** bytes */
	readonly size: number;
	readonly annotations?: Readonly<Record<string, string>>;
	readonly platform?: Platform;
}

export interface Platform {
	readonly os: string;
	readonly architecture: string;
	readonly variant?: string;
}

export interface Manifest {
	/** As the document names itself; "" when it does not. */
	readonly mediaType: string;
	readonly config: Descriptor;
	readonly layers: readonly Descriptor[];
}

export interface Index {
	readonly mediaType: string;
	readonly manifests: readonly Descriptor[];
}

/**
 * A manifest or an index, told apart by its fields (mediaType is optional in OCI). One that could be read as either is refused: two readers
 * would see two images (CVE-2021-41190). Throws "invalid".
 */
export function parseManifestOrIndex(json: string, name: string): Manifest | Index {
	const value = parseObject(json, name);
	const mediaType = typeof value.mediaType === "string" ? value.mediaType : "";
	const isIndex = Array.isArray(value.manifests);
	if (isIndex && (value.layers !== undefined || value.config !== undefined)) {
		throw new EngineError("invalid", `invalid manifest ${name}: has both manifests and layers`);
	}
	if (mediaType !== "" && isIndexType(mediaType) !== isIndex) {
		throw new EngineError("invalid", `invalid manifest ${name}: its content is not a ${mediaType}`);
	}
	if (Array.isArray(value.manifests)) {
		return { mediaType, manifests: value.manifests.map((one) => parseDescriptor(one, name)) };
	}
	if (!Array.isArray(value.layers)) throw new EngineError("invalid", `invalid manifest ${name}: no layers`);
	return {
		mediaType,
		config: parseDescriptor(value.config, name),
		layers: value.layers.map((one) => parseDescriptor(one, name)),
	};
}

export function isIndexType(mediaType: string): boolean {
	return (
		mediaType === "application/vnd.oci.image.index.v1+json" ||
		mediaType === "application/vnd.docker.distribution.manifest.list.v2+json"
	);
}

/** One of docker-archive's manifest.json entries. */
export interface ArchiveImage {
	readonly config: string;
	readonly repoTags: readonly string[];
	readonly layers: readonly string[];
}

/** Docker-archive's manifest.json. Throws "invalid". */
export function parseArchiveManifest(json: string): ArchiveImage[] {
	const value = parseJson(json, "manifest.json");
	if (!Array.isArray(value)) throw new EngineError("invalid", "invalid manifest.json: not a list");
	return value.map((entry: unknown) => {
		const { Config, RepoTags, Layers } = requireObject(entry, "manifest.json");
		if (typeof Config !== "string") throw new EngineError("invalid", "invalid manifest.json: Config is not a string");
		return { config: Config, repoTags: strings(RepoTags, "RepoTags"), layers: strings(Layers, "Layers") };
	});
}

/** The architecture's name in Go's terms, as images use it. */
export function hostPlatform(): Platform {
	const names: Record<string, string> = { x64: "amd64", arm64: "arm64" };
	return { os: "linux", architecture: names[process.arch] ?? process.arch };
}

/** Other names of architectures. Source: containerd/platforms, normalizeArch(). */
const ARCHITECTURES: Readonly<Record<string, readonly [string, string?]>> = {
	x86_64: ["amd64"],
	"x86-64": ["amd64"],
	i386: ["386"],
	aarch64: ["arm64"],
	armhf: ["arm", "v7"],
	armel: ["arm", "v6"],
};

/** `linux/arm64/v8`, `linux` or `arm64` as a platform; what is not said is the host's. "invalid" for anything else. */
export function parsePlatform(text: string): Platform {
	const parts = text.toLowerCase().split("/");
	if (parts.length > 3 || !parts.every((part) => /^[a-z0-9_.-]+$/.test(part)))
		throw new EngineError("invalid", `invalid platform ${JSON.stringify(text)}: allowed is OS[/ARCH[/VARIANT]]`);
	const [first = "", second, third] = parts;
	const host = hostPlatform();
	if (second === undefined && first === host.os) return host;
	const [os, given] = second === undefined ? [host.os, first] : [first, second];
	const [architecture, variant] = ARCHITECTURES[given] ?? [given];
	return { os, architecture, variant: third ?? variant };
}

export function parseObject(json: string, name: string): Record<string, unknown> {
	return requireObject(parseJson(json, name), name);
}

function parseDescriptor(value: unknown, name: string): Descriptor {
	const fields = requireObject(value, name);
	const { digest, size } = fields;
	if (typeof digest !== "string" || !isDigest(digest)) {
		throw new EngineError("invalid", `invalid digest ${JSON.stringify(digest)} in ${name}`);
	}
	return {
		mediaType: typeof fields.mediaType === "string" ? fields.mediaType : "",
		digest,
		size: typeof size === "number" && Number.isSafeInteger(size) && size >= 0 ? size : 0,
		annotations: stringMap(fields.annotations),
		platform: platformOf(fields.platform),
	};
}

function platformOf(value: unknown): Platform | undefined {
	if (typeof value !== "object" || value === null) return undefined;
	const { os, architecture, variant } = value as Record<string, unknown>;
	if (typeof os !== "string" || typeof architecture !== "string") return undefined;
	return { os, architecture, variant: typeof variant === "string" ? variant : undefined };
}

function stringMap(value: unknown): Record<string, string> | undefined {
	if (typeof value !== "object" || value === null) return undefined;
	return Object.fromEntries(
		Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
	);
}

function strings(value: unknown, name: string): string[] {
	if (value === null || value === undefined) return [];
	if (Array.isArray(value) && value.every((one): one is string => typeof one === "string")) return value;
	throw new EngineError("invalid", `invalid manifest.json: ${name} is not a list of strings`);
}

function requireObject(value: unknown, name: string): Record<string, unknown> {
	if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
	throw new EngineError("invalid", `invalid ${name}: not an object`);
}

function parseJson(json: string, name: string): unknown {
	let value: unknown;
	try {
		value = JSON.parse(json);
	} catch (cause) {
		throw new EngineError("invalid", `invalid ${name}: not JSON`, { cause });
	}
	const key = repeatedKey(json);
	if (key !== undefined) throw new EngineError("invalid", `invalid ${name}: duplicate key ${JSON.stringify(key)}`);
	return value;
}
