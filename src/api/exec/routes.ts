import { Elysia } from "elysia";
import type { Execs } from "../../engine/containers/contract.ts";
import { readJson } from "../body.ts";
import { parseDetachKeys } from "../detach-keys.ts";
import { queryOf, sizeOf } from "../query.ts";
import { decodeExec } from "./schema.ts";
import { execView } from "./view.ts";

const RAW = { parse: "none" } as const;

/** The exec noun but for start, which takes the socket over: see hijack.ts. */
export function execRoutes(execs: Execs) {
	return new Elysia()
		.post(
			"/containers/:id/exec",
			async ({ request, params }) => {
				const config = await readJson(request, decodeExec, "ExecOptions");
				parseDetachKeys(config.DetachKeys);
				return Response.json({ Id: (await execs.create(params.id, config)).id }, { status: 201 });
			},
			RAW,
		)
		.get("/exec/:id/json", ({ params }) => Response.json(execView(execs.inspect(params.id))))
		.post(
			"/exec/:id/resize",
			async ({ request, params }) => {
				const { rows, columns } = sizeOf(queryOf(request));
				await execs.resize(params.id, rows, columns);
				return new Response(null, { status: 200 });
			},
			RAW,
		);
}
