import { Elysia } from "elysia";
import type { NetworkInsight, Topology } from "../../../engine/topology/contract.ts";
import { dotOf } from "../../../engine/topology/dot.ts";
import { svgOf } from "../../../engine/topology/svg.ts";
import { textOf } from "../../../engine/topology/text.ts";
import { invalid } from "../../errors.ts";
import { queryOf } from "../../query.ts";
import { FORMATS } from "./schema.ts";

const RENDERED: Record<string, { type: string; render(topology: Topology): string }> = {
	text: { type: "text/plain; charset=utf-8", render: textOf },
	dot: { type: "text/vnd.graphviz; charset=utf-8", render: dotOf },
	svg: { type: "image/svg+xml", render: svgOf },
};

/** `GET /foredeck/v1/topology?format=`: as JSON, or drawn. */
export function topologyRoutes(insight: Pick<NetworkInsight, "topology">) {
	return new Elysia().get("/foredeck/v1/topology", ({ request }) => {
		const format = queryOf(request).get("format") || "json";
		if (format === "json") return Response.json(insight.topology());
		const drawn = RENDERED[format];
		if (!drawn) throw invalid(`invalid format ${format}: it is one of ${FORMATS.join(", ")}`);
		return new Response(drawn.render(insight.topology()), { headers: { "content-type": drawn.type } });
	});
}
