import { EngineError } from "../../shared/errors.ts";
import { CODES, GrpcError, type Method, type ServedCall, unary } from "./grpc.ts";
import type { BuildJob } from "./jobs.ts";
import { definitionOf, imageOf } from "./linked.ts";
import {
	gatewaySolveRequest,
	gatewaySolveResponse,
	nothing,
	pong,
	refRequest,
	resolveImageRequest,
	resolveImageResponse,
	returnRequest,
} from "./messages.ts";
import { buildRequestOf } from "./options.ts";
import type { BuildKitParts } from "./parts.ts";
import type { Decoded } from "./protobuf.ts";
import { workerRecord } from "./worker.ts";

const SERVICE = "/moby.buildkit.v1.frontend.LLBBridge";
/** The header by which calls name their build. */
const BUILD_ID = "buildkit-controlapi-buildid";

const FRONTEND_CAPS = [
	...["solve.base", "resolveimage", "resolveimage.resolvemode", "return", "returnmap", "importcaches"],
	...[
		"proto.refarray",
		"reference.output",
		"frontend.inputs",
		"gateway.solve.metadata",
		"frontend.caps",
		"gateway.solve.evaluate",
		"gateway.evaluate",
	],
];
const LLB_CAPS = [
	...["source.image", "source.local", "source.local.unique", "source.local.sessionid", "source.local.includepatterns"],
	...[
		"source.local.followpaths",
		"source.local.excludepatterns",
		"source.local.sharedkeyhint",
		"source.http",
		"source.git",
	],
];

/** LLBBridge: what the client's own code calls while its build is under way; ours solves Dockerfiles. */
export function gatewayMethods(parts: BuildKitParts): [string, Method][] {
	const jobOf = (call: ServedCall) => parts.jobs.get(call.metadata(BUILD_ID) ?? "", call.signal);
	return [
		[`${SERVICE}/Ping`, unary(nothing, pong, () => ping(parts))],
		[
			`${SERVICE}/Solve`,
			unary(gatewaySolveRequest, gatewaySolveResponse, async (request, call) => {
				const job = await jobOf(call);
				const id = await solve(parts, job, request, call.signal);
				return { result: resultOf(job, id) };
			}),
		],
		[
			`${SERVICE}/Return`,
			unary(returnRequest, nothing, async ({ result, error }, call) => {
				const job = await jobOf(call);
				if (error && error.code !== CODES.ok)
					job.finish({ error: new GrpcError(error.code, error.message, error.details) });
				else job.finish({ results: refsOf(result) });
				return {};
			}),
		],
		[
			`${SERVICE}/Evaluate`,
			unary(refRequest, nothing, async ({ Ref }, call) => {
				(await jobOf(call)).result(Ref);
				return {};
			}),
		],
		[`${SERVICE}/Inputs`, unary(nothing, nothing, () => ({}))],
		[
			`${SERVICE}/ResolveImageConfig`,
			unary(resolveImageRequest, resolveImageResponse, ({ Ref }) => {
				const image = parts.images.resolve(Ref);
				return { Digest: image.id, Config: Buffer.from(image.configJson), Ref };
			}),
		],
		...["NewContainer", "ExecProcess", "ReadFile", "ReadDir", "StatFile"].map((name): [string, Method] => [
			`${SERVICE}/${name}`,
			() => refuse(name),
		]),
	];
}

function refuse(name: string): Promise<void> {
	return Promise.reject(
		new GrpcError(
			CODES.unimplemented,
			`${name} is not supported: this engine builds Dockerfiles with its built-in frontend`,
		),
	);
}

function ping({ worker }: BuildKitParts): Partial<Decoded<typeof pong>> {
	const enabled = (ids: readonly string[]) => ids.map((ID) => ({ ID, Enabled: true }));
	return { FrontendAPICaps: enabled(FRONTEND_CAPS), LLBCaps: enabled(LLB_CAPS), Workers: [workerRecord(worker)] };
}

/** Builds what a solve request asks for; the name of its result. */
export async function solve(
	{ builds }: BuildKitParts,
	job: BuildJob,
	request: Pick<Decoded<typeof gatewaySolveRequest>, "Frontend" | "FrontendOpt" | "FrontendInputs">,
	signal: AbortSignal,
): Promise<string> {
	const { session, entitlements } = await job.begun();
	const solving = builds.solve(
		buildRequestOf(
			{ frontend: request.Frontend, options: withInputs(request) },
			{
				client: session,
				sharedKey: session.sharedKey,
				progress: job.progress,
				entitlements,
				signal: AbortSignal.any([signal, job.signal]),
			},
		),
	);
	return job.keep(await job.during(solving));
}

/** Contexts that are results of other builds, as images. Throws for one that we did not make. */
function withInputs({
	FrontendOpt,
	FrontendInputs,
}: {
	FrontendOpt: ReadonlyMap<string, string>;
	FrontendInputs: Inputs;
}) {
	const known = [...FrontendOpt].map(([name, value]): [string, string] => {
		const input = name.startsWith("context:") && value.startsWith("input:") ? value.slice("input:".length) : undefined;
		if (input === undefined) return [name, value];
		const definition = FrontendInputs.get(input);
		const image = definition && imageOf(definition);
		if (image === undefined) {
			throw new EngineError(
				"unsupported",
				`build context ${name.slice("context:".length)} is a raw LLB definition, which is not supported`,
			);
		}
		return [name, `docker-image://${image}`];
	});
	return new Map(known);
}

type Inputs = Decoded<typeof gatewaySolveRequest>["FrontendInputs"];

function resultOf(job: BuildJob, id: string) {
	const ref = { id, def: definitionOf(job.result(id).image.id) };
	return { refDeprecated: "", ref, refs: undefined, metadata: new Map<string, Uint8Array>() };
}

function refsOf(result: Decoded<typeof returnRequest>["result"]): string[] {
	if (!result) return [];
	const all = [
		result.refDeprecated,
		result.ref?.id ?? "",
		...[...(result.refs?.refs.values() ?? [])].map(({ id }) => id),
	];
	return all.filter((id) => id !== "");
}
