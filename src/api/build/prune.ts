import { Elysia } from "elysia";
import { invalid } from "../errors.ts";
import { filtersOf } from "../filters.ts";
import { intOf, queryOf } from "../query.ts";

const FILTERS = ["description", "id", "inuse", "label", "label!", "parents", "private", "shared", "type", "until"];
const BYTES = ["keep-storage", "reserved-space", "max-used-space", "min-free-space"];

/** BuildKit's cache, which there is none of: the steps of builds are images, and go with `docker image prune`. `docker system prune` asks for it. */
export function buildPruneRoutes() {
	return new Elysia().post(
		"/build/prune",
		({ request }) => {
			const query = queryOf(request);
			for (const name of BYTES) checkBytes(query, name);
			filtersOf(query, FILTERS);
			return Response.json({ CachesDeleted: null, SpaceReclaimed: 0 });
		},
		{ parse: "none" },
	);
}

function checkBytes(query: URLSearchParams, name: string): void {
	try {
		intOf(query, name);
	} catch {
		const value = query.get(name);
		throw invalid(
			`${name} is in bytes and expects an integer, got ${value}: strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`,
		);
	}
}
