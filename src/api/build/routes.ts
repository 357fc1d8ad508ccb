import { Elysia } from "elysia";
import { CommandFailed } from "../../engine/build/command-failed.ts";
import type { BuildLine, Builds } from "../../engine/build/contract.ts";
import { messageOf } from "../../shared/errors.ts";
import type { BuildKitEntrance } from "../buildkit/entrance.ts";
import { invalid } from "../errors.ts";
import { queryOf } from "../query.ts";
import { streamResponse } from "../stream.ts";
import { decodeBuild, decodeHttpBuild, decodeUpload } from "./query.ts";

/** `docker build`. Contexts are read as streams and never parsed. */
export function buildRoutes(builds: Builds, buildKit: BuildKitEntrance) {
	// BuildKit's connections: buildkit/serve.ts takes over those that ask for the upgrade.
	const refused = () => {
		throw invalid("no upgrade proto in request");
	};
	return (
		new Elysia({ name: "build" })
			.post("/build", ({ request }) => build(builds, buildKit, request), { parse: "none" })
			// A classic build ends when its client leaves, and has no id.
			.post("/build/cancel", ({ request }) => cancel(buildKit, request), { parse: "none" })
			.post("/session", refused, { parse: "none" })
			.post("/grpc", refused, { parse: "none" })
	);
}

async function build(builds: Builds, buildKit: BuildKitEntrance, request: Request): Promise<Response> {
	const upload = decodeUpload(request);
	if (upload) {
		await buildKit.upload(upload.id, upload.body, request.signal);
		return new Response(null, { status: 200 });
	}
	const asked = decodeHttpBuild(request);
	const wanted = decodeBuild(request);
	return buildLines(asked ? buildKit.build(wanted, asked) : builds.build(wanted));
}

async function cancel(buildKit: BuildKitEntrance, request: Request): Promise<Response> {
	const id = queryOf(request).get("id");
	if (!id) throw invalid("build ID not provided");
	await buildKit.cancel(id);
	return new Response(null, { status: 200 });
}

/** What fails before the first line has a status of its own; after it, docker's `errorDetail` line, with a command's exit code. */
async function buildLines(lines: AsyncIterable<readonly BuildLine[]>): Promise<Response> {
	const iterator = lines[Symbol.asyncIterator]();
	const first = await iterator.next();
	const encoder = new TextEncoder();
	const chunks = async function* () {
		try {
			for (let next = first; !next.done; next = await iterator.next()) {
				yield encoder.encode(next.value.map((line) => `${JSON.stringify(line)}\r\n`).join(""));
			}
		} catch (error) {
			const message = messageOf(error);
			const code = error instanceof CommandFailed ? { code: error.exitCode } : {};
			yield encoder.encode(`${JSON.stringify({ errorDetail: { ...code, message }, error: message })}\r\n`);
		} finally {
			await iterator.return?.();
		}
	};
	return streamResponse(chunks(), "application/json");
}
