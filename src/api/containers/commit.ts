import type { Containers } from "../../engine/containers/contract.ts";
import { type Decode, list, map, nullable, object, readOptionalJson, string, strings } from "../body.ts";
import { invalid } from "../errors.ts";
import { boolOf, queryOf } from "../query.ts";

const anything: Decode<object> = () => ({});
const text = string();

/** The fields of a container's configuration that an image has. */
const decodeRunConfig = object({
	User: text,
	ExposedPorts: nullable(map(anything)),
	Env: nullable(list(text)),
	Entrypoint: nullable(strings),
	Cmd: nullable(strings),
	Volumes: nullable(map(anything)),
	WorkingDir: text,
	Labels: nullable(map(text)),
	StopSignal: text,
	OnBuild: nullable(list(text)),
	Shell: nullable(strings),
});

type RunConfig = ReturnType<typeof decodeRunConfig>;
type Given = { [K in keyof RunConfig]?: NonNullable<RunConfig[K]> };

/** `POST /commit`. */
export async function commitReply(containers: Containers, request: Request): Promise<Response> {
	const query = queryOf(request);
	const config = await readOptionalJson(request, decodeRunConfig, "Config");
	const container = query.get("container");
	if (!container) throw invalid('invalid name or ID supplied: ""');
	const { id } = await containers.commit(container, {
		repo: query.get("repo") || undefined,
		tag: query.get("tag") || undefined,
		comment: query.get("comment") ?? "",
		author: query.get("author") ?? "",
		pause: boolOf(query, "pause", true),
		changes: query.getAll("changes").flatMap((lines) => lines.split("\n").filter((line) => line.trim() !== "")),
		config: given(config),
	});
	return Response.json({ Id: id }, { status: 201 });
}

/** What was said at all: Go's zero values say nothing. */
function given(config: RunConfig): Given {
	return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== null && value !== "")) as Given;
}
