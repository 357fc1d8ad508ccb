import { Elysia } from "elysia";
import { EngineError } from "../../shared/errors.ts";
import { filtersOf } from "../filters.ts";
import { queryOf } from "../query.ts";

const RAW = { parse: "none" } as const;
const FILTERS = ["dangling", "driver", "label", "name"];
const PRUNE_FILTERS = ["all", "label", "label!"];

/** The volumes noun: there are none yet, which is said truthfully. */
export function volumeRoutes() {
	const missing = ({ params }: { params: { name: string } }) => {
		throw new EngineError("not-found", `get ${params.name}: no such volume`);
	};
	return new Elysia()
		.get("/volumes", ({ request }) => {
			filtersOf(queryOf(request), FILTERS);
			return Response.json({ Volumes: [], Warnings: null });
		})
		.get("/volumes/:name", missing)
		.delete("/volumes/:name", missing, RAW)
		.post(
			"/volumes/prune",
			({ request }) => {
				filtersOf(queryOf(request), PRUNE_FILTERS);
				return Response.json({ VolumesDeleted: [], SpaceReclaimed: 0 });
			},
			RAW,
		);
}
