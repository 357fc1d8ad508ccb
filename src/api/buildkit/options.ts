import type { BuildKitOptions, BuildRequest } from "../../engine/build/contract.ts";
import { checkFrontendImage, refusedFrontend } from "../../engine/build/frontend.ts";
import type { HostConfig } from "../../engine/containers/config.ts";
import { EngineError } from "../../shared/errors.ts";

/** What a solve request's frontend and its options ask for. */
export interface FrontendRequest {
	readonly frontend: string;
	readonly options: ReadonlyMap<string, string>;
}

/** What the build is done with besides. */
export interface SolveParts extends Pick<BuildKitOptions, "client" | "progress" | "entitlements" | "sharedKey"> {
	readonly signal: AbortSignal;
}

const REFUSED = ["hostname"];

/** A build as the options of the frontend `dockerfile.v0` describe it. Throws "invalid" or "unsupported", naming the option and its value. */
export function buildRequestOf({ frontend, options }: FrontendRequest, parts: SolveParts): BuildRequest {
	checkFrontend(frontend, options.get("source") ?? "");
	const get = (name: string) => options.get(name) ?? "";
	const asked = options.get("requestid");
	if (asked) {
		throw new EngineError(
			"unsupported",
			`${asked} is not supported: of --call and --check this engine's frontend has none but the build itself`,
		);
	}
	const refused = [...options].find(
		([name, value]) => value !== "" && (REFUSED.includes(name) || name.startsWith("attest:")),
	);
	if (refused) throw new EngineError("unsupported", `build option ${refused[0]}=${refused[1]} is not supported`);
	const noCache = options.has("no-cache") && get("no-cache") === "";
	const dockerfileIn = options.get("dockerfilekey");
	return {
		context: get("context") === "" ? { local: get("contextkey") || "context" } : contextOf(get("context"), parts),
		dockerfile: get("filename"),
		tags: [],
		buildArgs: new Map(Object.entries(withPrefix(options, "build-arg:"))),
		labels: withPrefix(options, "label:"),
		target: get("target"),
		noCache,
		pull: get("image-resolve-mode") === "pull",
		remove: true,
		forceRemove: true,
		quiet: true,
		cacheFrom: cacheImports(get("cache-imports")),
		platform: platformOf(get("platform")),
		host: hostOf(options, parts.entitlements),
		credentials: {},
		signal: parts.signal,
		buildKit: {
			...parts,
			...(dockerfileOf(options, dockerfileIn) !== undefined && { dockerfileIn: dockerfileOf(options, dockerfileIn) }),
			namedContexts: new Map(
				Object.entries(withPrefix(options, "context:")).map(([name, value]) => [name.toLowerCase(), value]),
			),
			noCacheFilter: noCache ? [] : list(get("no-cache")).map((name) => name.toLowerCase()),
		},
	};
}

/** Of a context behind a URL the Dockerfile is in it, unless the client says in which of its directories it is. */
function dockerfileOf(options: ReadonlyMap<string, string>, key: string | undefined): string | undefined {
	return key ?? (options.get("context") ? undefined : "dockerfile");
}

function checkFrontend(frontend: string, source: string): void {
	if (frontend === "gateway.v0") checkFrontendImage(source);
	else if (frontend !== "dockerfile.v0")
		throw refusedFrontend(`frontend ${frontend || "(none: a raw LLB definition)"}`);
}

function contextOf(url: string, { client }: SolveParts): BuildRequest["context"] {
	return url.startsWith("http://buildkit-session/") ? { body: client.upload(url) } : { url };
}

function withPrefix(options: ReadonlyMap<string, string>, prefix: string): Record<string, string> {
	const found = [...options].filter(([name]) => name.startsWith(prefix));
	return Object.fromEntries(found.map(([name, value]) => [name.slice(prefix.length), value]));
}

function list(text: string): string[] {
	return text.split(",").filter((one) => one !== "");
}

function cacheImports(json: string): string[] {
	if (json === "") return [];
	const entries = JSON.parse(json) as { readonly Type?: string; readonly Attrs?: Readonly<Record<string, string>> }[];
	return entries.flatMap(({ Type = "", Attrs = {} }) => {
		if (Type === "registry") return Attrs.ref ? [Attrs.ref] : [];
		throw new EngineError("unsupported", `cache import of type ${Type} is not supported: registry is`);
	});
}

function platformOf(text: string): string | undefined {
	const all = list(text);
	if (all.length > 1) {
		throw new EngineError("unsupported", `multiple platforms in one build are not supported: ${text}`);
	}
	return all[0];
}

/** Limits and network of the containers of RUN. */
function hostOf(options: ReadonlyMap<string, string>, entitlements: readonly string[]): Partial<HostConfig> {
	const mode = options.get("force-network-mode") ?? "";
	if (mode === "host" && !entitlements.includes("network.host")) {
		throw new EngineError("invalid", "network.host is not allowed");
	}
	const hosts = list(options.get("add-hosts") ?? "").map((one) => one.replace("=", ":"));
	const ulimits = list(options.get("ulimit") ?? "").map(ulimitOf);
	const numbers = {
		ShmSize: numberOf(options, "shm-size"),
		Memory: numberOf(options, "memory"),
		MemorySwap: numberOf(options, "memswap"),
		CpuShares: numberOf(options, "cpushares"),
		CpuPeriod: numberOf(options, "cpuperiod"),
		CpuQuota: numberOf(options, "cpuquota"),
	};
	const words = {
		CpusetCpus: options.get("cpusetcpus"),
		CpusetMems: options.get("cpusetmems"),
		CgroupParent: options.get("cgroup-parent"),
		NetworkMode: mode,
	};
	return {
		...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== undefined)),
		...Object.fromEntries(Object.entries(words).filter(([, value]) => value)),
		...(hosts.length > 0 && { ExtraHosts: hosts }),
		...(ulimits.length > 0 && { Ulimits: ulimits }),
	};
}

function numberOf(options: ReadonlyMap<string, string>, name: string): number | undefined {
	const text = options.get(name);
	if (!text) return undefined;
	if (!/^-?\d{1,18}$/.test(text)) throw new EngineError("invalid", `${name}=${text} is no whole number`);
	return Number(text);
}

/** `nofile=1024:2048` */
function ulimitOf(text: string): { Name: string; Soft: number; Hard: number } {
	const [, name, soft, hard] = /^(\w+)=(-?\d+)(?::(-?\d+))?$/.exec(text) ?? [];
	if (!name || !soft) throw new EngineError("invalid", `invalid ulimit ${text}`);
	return { Name: name, Soft: Number(soft), Hard: Number(hard ?? soft) };
}
