import type { BuildRequest } from "../../engine/build/contract.ts";
import type { HostConfig } from "../../engine/containers/config.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { integer, list, map, nullable, object, parseJson, string } from "../body.ts";
import { invalid } from "../errors.ts";
import { credentialsByRegistry } from "../images/registry.ts";
import { platformOf } from "../images/stream-lines.ts";
import { boolOf, intOf, queryOf } from "../query.ts";

/** What `POST /build` asks for. Throws "invalid" in docker's words, "unsupported" or "not-implemented" for what only BuildKit has. */
export function decodeBuild(request: Request): BuildRequest {
	const query = queryOf(request);
	refuse(query);
	const remote = query.get("remote") ?? "";
	return {
		context: remote === "" ? { body: bodyOf(request) } : { url: remote },
		dockerfile: query.get("dockerfile") ?? "",
		tags: [...new Set(query.getAll("t").filter((tag) => tag !== ""))],
		buildArgs: new Map(Object.entries(json(query, "buildargs", map(nullable(string()))))),
		labels: json(query, "labels", map(string())),
		target: query.get("target") ?? "",
		noCache: boolOf(query, "nocache"),
		pull: boolOf(query, "pull"),
		remove: boolOf(query, "rm", true),
		forceRemove: boolOf(query, "forcerm"),
		quiet: boolOf(query, "q"),
		cacheFrom: query.get("cachefrom") ? json(query, "cachefrom", list(string())) : [],
		platform: platformOf(query.get("platform")),
		host: hostOf(query),
		credentials: credentialsByRegistry(request),
		signal: request.signal,
	};
}

function refuse(query: URLSearchParams): void {
	const version = query.get("version") ?? "";
	if (version === "2") {
		throw new EngineError(
			"unsupported",
			"version=2 is not supported: BuildKit is spoken over /grpc and /session (docker with its buildx plugin does); set DOCKER_BUILDKIT=0 for the classic builder",
		);
	}
	if (version !== "" && version !== "1") throw invalid(`invalid version ${JSON.stringify(version)}`);
	if (boolOf(query, "squash")) throw invalid("squash is only supported with experimental mode");
	const outputs = query.get("outputs") ?? "";
	if (outputs !== "" && outputs !== "[]" && outputs !== "null") {
		throw invalid(`outputs is not supported by the classic builder: ${outputs}`);
	}
	const isolation = query.get("isolation") ?? "";
	if (isolation !== "" && isolation !== "default") throw invalid(`Unsupported isolation: ${JSON.stringify(isolation)}`);
}

const ulimit = object({ Name: string(), Hard: integer(), Soft: integer() });

/** Limits and network of RUN; what is not given is not there. */
function hostOf(query: URLSearchParams): Partial<HostConfig> {
	const numbers = {
		Memory: intOf(query, "memory"),
		MemorySwap: intOf(query, "memswap"),
		CpuShares: intOf(query, "cpushares"),
		CpuPeriod: intOf(query, "cpuperiod"),
		CpuQuota: intOf(query, "cpuquota"),
		ShmSize: intOf(query, "shmsize"),
	};
	const words = {
		CpusetCpus: query.get("cpusetcpus"),
		CpusetMems: query.get("cpusetmems"),
		NetworkMode: query.get("networkmode"),
		CgroupParent: query.get("cgroupparent"),
	};
	const ulimits = query.get("ulimits") ? json(query, "ulimits", list(ulimit)) : [];
	const hosts = query
		.getAll("extrahosts")
		.flatMap((text) => (text.startsWith("[") ? strings(text, "extrahosts") : text.split(",")));
	const options = query
		.getAll("securityopt")
		.flatMap((text) => (text.startsWith("[") ? strings(text, "securityopt") : [text]));
	return {
		...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== undefined)),
		...Object.fromEntries(Object.entries(words).filter(([, value]) => value)),
		...(ulimits.length > 0 && { Ulimits: ulimits }),
		...(hosts.some(Boolean) && { ExtraHosts: hosts.filter(Boolean) }),
		...(options.some(Boolean) && { SecurityOpt: options.filter(Boolean) }),
	};
}

function strings(text: string, name: string): string[] {
	return list(string())(parseJson(text), name);
}

const NOUNS: Readonly<Record<string, string>> = {
	buildargs: "build args",
	cachefrom: "cache-from",
	ulimits: "ulimit settings",
};

/** A parameter that holds JSON; empty and absent decode as null does. */
function json<T>(query: URLSearchParams, name: string, decode: (value: unknown, path: string) => T): T {
	const text = query.get(name);
	try {
		return decode(text ? parseJson(text) : undefined, name);
	} catch (error) {
		throw invalid(`error reading ${NOUNS[name] ?? name}: ${messageOf(error).replace(/^invalid JSON: /, "")}`);
	}
}

async function* bodyOf({ body }: Request): AsyncGenerator<Uint8Array> {
	if (body) yield* body;
}
