import type { BuildRequest } from "../../engine/build/contract.ts";
import type { HostConfig } from "../../engine/containers/config.ts";
import { messageOf } from "../../shared/errors.ts";
import { integer, list, map, nullable, object, parseJson, string } from "../body.ts";
import type { HttpBuild } from "../buildkit/http-build.ts";
import { invalid } from "../errors.ts";
import { credentialsByRegistry } from "../images/registry.ts";
import { platformOf } from "../images/stream-lines.ts";
import { boolOf, intOf, queryOf } from "../query.ts";

/** What `POST /build` asks for. Throws "invalid" in docker's words. */
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
	if (!["", "1", "2"].includes(version)) throw invalid(`invalid version ${JSON.stringify(version)}`);
	if (boolOf(query, "squash")) throw invalid("squash is only supported with experimental mode");
	const outputs = query.get("outputs") ?? "";
	if (version !== "2" && outputs !== "" && outputs !== "[]" && outputs !== "null") {
		throw invalid(`outputs is not supported by the classic builder: ${outputs}`);
	}
	const isolation = query.get("isolation") ?? "";
	if (isolation !== "" && isolation !== "default") throw invalid(`Unsupported isolation: ${JSON.stringify(isolation)}`);
}

const UPLOAD = "upload-request";
const output = object({ Type: string(), Attrs: map(string()) });

/** What BuildKit's builds (`version=2`) ask for besides; undefined: a classic build. Throws "invalid". */
export function decodeHttpBuild(request: Request): HttpBuild | undefined {
	const query = queryOf(request);
	if (query.get("version") !== "2") return undefined;
	const remote = query.get("remote");
	const outputs = query.get("outputs") ? json(query, "outputs", nullable(list(output))) : [];
	return {
		id: query.get("buildid") ?? "",
		session: query.get("session") ?? "",
		outputs: outputsOf(outputs ?? []),
		source: remote === "client-session" ? "session" : remote === UPLOAD ? "upload" : "request",
	};
}

/** The build whose context this request is; undefined: it is a build itself. */
export function decodeUpload(request: Request): { id: string; body: AsyncIterable<Uint8Array> } | undefined {
	const id = queryOf(request).get("buildid") ?? "";
	if (!id.startsWith(`${UPLOAD}:`)) return undefined;
	return { id: id.slice(UPLOAD.length + 1), body: bodyOf(request) };
}

/** Of BuildKit's builds, one at most; `cacheonly` exports nothing. */
function outputsOf(outputs: readonly { readonly Type: string; readonly Attrs: Readonly<Record<string, string>> }[]) {
	if (outputs.length > 1) throw invalid("multiple outputs not supported");
	return outputs.map(({ Type, Attrs }) => ({ Type, Attrs: new Map(Object.entries(Attrs)) }));
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
	outputs: "outputs",
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
