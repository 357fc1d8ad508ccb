import { Elysia } from "elysia";
import type { Builds } from "../../engine/build/contract.ts";
import { nowNanos } from "../../shared/time.ts";
import { invalid } from "../errors.ts";
import { type Filters, filtersOf } from "../filters.ts";
import { intOf, queryOf } from "../query.ts";
import { parseTimestamp } from "../timestamp.ts";
import { cacheFilterHolds } from "./cache.ts";

const FILTERS = ["description", "id", "inuse", "label", "label!", "parents", "private", "shared", "type", "until"];
const BYTES = ["keep-storage", "reserved-space", "max-used-space", "min-free-space"];

/** The caches of `RUN --mount=type=cache`; steps of builds are images, and go with `docker image prune`. `docker system prune` asks for it too. */
export function buildPruneRoutes(builds?: Pick<Builds, "pruneCache">) {
	return new Elysia().post(
		"/build/prune",
		async ({ request }) => {
			const query = queryOf(request);
			const bytes = BYTES.map((name) => bytesOf(query, name));
			const filters = filtersOf(query, FILTERS);
			const gone = await builds?.pruneCache({
				accepts: (entry) => conditionsOf(filters).every((one) => cacheFilterHolds(entry, one)),
				unusedForMs: unusedFor(filters),
				keepBytes: Math.max(bytes[0] ?? 0, bytes[1] ?? 0),
			});
			const ids = (gone ?? []).map(({ id }) => id);
			const reclaimed = (gone ?? []).reduce((sum, { size }) => sum + size, 0);
			return Response.json({ CachesDeleted: ids.length > 0 ? ids : null, SpaceReclaimed: reclaimed });
		},
		{ parse: "none" },
	);
}

/** In BuildKit's language, as dockerd has it. Nothing that is kept has parents or labels. */
function conditionsOf(filters: Filters): string[] {
	return FILTERS.filter((name) => name !== "until").flatMap((name) =>
		filters
			.get(name)
			.map((value) =>
				["inuse", "shared", "private"].includes(name) ? name : `${name}${name === "id" ? "~=" : "=="}${value}`,
			),
	);
}

/** `until=24h`: how long nothing has used it, in ms. */
function unusedFor(filters: Filters): number {
	const [value, more] = filters.get("until");
	if (value === undefined) return 0;
	if (more !== undefined) throw invalid('filters expect only one value: "until"');
	const nanos = parseTimestamp(value, nowNanos());
	if (nanos === undefined) throw invalid(`failed to parse value as time or duration: ${JSON.stringify(value)}`);
	return Number((nowNanos() - nanos) / 1_000_000n);
}

function bytesOf(query: URLSearchParams, name: string): number | undefined {
	try {
		return intOf(query, name);
	} catch {
		const value = query.get(name);
		throw invalid(
			`${name} is in bytes and expects an integer, got ${value}: strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`,
		);
	}
}
