import { Elysia } from "elysia";
import type { NetworkInsight } from "../../../engine/topology/contract.ts";
import { readJson } from "../../body.ts";
import { decodeCheck } from "./schema.ts";

/** `POST /foredeck/v1/checks`: tries it and tells, 200 whatever it finds. It sends packets: no GET. */
export function checkRoutes(insight: Pick<NetworkInsight, "check">) {
	return new Elysia().post(
		"/foredeck/v1/checks",
		async ({ request }) => Response.json(await insight.check(await readJson(request, decodeCheck, "CheckRequest"))),
		{ parse: "none" },
	);
}
