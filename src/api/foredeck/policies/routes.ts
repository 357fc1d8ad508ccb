import { Elysia } from "elysia";
import type { Policies } from "../../../engine/policy/contract.ts";
import { parsePolicies } from "../../../engine/policy/parse.ts";
import { policySchema } from "../../../engine/policy/schema.ts";
import { readJson } from "../../body.ts";
import { invalid } from "../../errors.ts";
import { boolOf, queryOf } from "../../query.ts";
import { jsonLines, streamResponse } from "../../stream.ts";
import { policyReply } from "./view.ts";

/** Network policies, an own noun. */
export function policyRoutes(policies: Policies) {
	return new Elysia({ name: "policies" })
		.get("/foredeck/v1/policies", () => Response.json(policies.list().map(policyReply)))
		.get("/foredeck/v1/policies/:name", ({ params }) => Response.json(policyReply(policies.inspect(params.name))))
		.get("/foredeck/v1/policy-schema", () => Response.json(policySchema))
		.get("/foredeck/v1/policy-decision", ({ request }) => {
			const query = queryOf(request);
			const [from, to] = [query.get("from"), query.get("to")];
			if (!from || !to) throw invalid("from and to are needed: from=web&to=db:5432");
			return Response.json(policies.explain(from, to));
		})
		.get("/foredeck/v1/denied-flows", ({ request }) => {
			if (boolOf(queryOf(request), "follow")) {
				return streamResponse(jsonLines(policies.followDenied(request.signal)), "application/x-ndjson");
			}
			const lines = policies.denied().map((flow) => `${JSON.stringify(flow)}\n`);
			return new Response(lines.join(""), { headers: { "content-type": "application/x-ndjson" } });
		})
		.post(
			"/foredeck/v1/policies",
			async ({ request }) => {
				const dryRun = boolOf(queryOf(request), "dryRun");
				const asked = await readJson(request, parsePolicies, "policies");
				if (!dryRun) await policies.prepare(asked);
				const changes = policies.apply(asked, { dryRun });
				await policies.settled();
				return Response.json(changes);
			},
			{ parse: "none" },
		)
		.delete(
			"/foredeck/v1/policies/:name",
			async ({ params }) => {
				policies.remove(params.name);
				await policies.settled();
				return new Response(null, { status: 204 });
			},
			{ parse: "none" },
		);
}
