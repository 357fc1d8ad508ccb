import { Elysia } from "elysia";
import type { Containers } from "../../engine/containers/contract.ts";
import type { ContainerRecord } from "../../engine/containers/record.ts";
import type { Events } from "../../engine/events.ts";
import { EngineError } from "../../shared/errors.ts";
import { nowNanos, parseNano } from "../../shared/time.ts";
import { invalid } from "../errors.ts";
import { type Filters, filtersOf, matchesLabel } from "../filters.ts";
import { queryOf } from "../query.ts";
import { parseTimestamp } from "../timestamp.ts";

const FILTERS = ["label", "label!", "until"];
const UP = ["running", "paused", "restarting", "removing"];

/** `POST /containers/prune`: removes what does not run. A container that cannot be removed, or that a client starts meanwhile, is left out. */
export function pruneRoutes(containers: Containers, events: Events) {
	let busy = false;
	return new Elysia().post(
		"/containers/prune",
		async ({ request }) => {
			const chosen = chooser(filtersOf(queryOf(request), FILTERS));
			if (busy) throw new EngineError("conflict", "a prune operation is already running");
			busy = true;
			try {
				const { deleted, reclaimed } = await removeAll(containers, chosen, request.signal);
				events.publish("container", "prune", "", { reclaimed: String(reclaimed) });
				return Response.json({ ContainersDeleted: deleted.length > 0 ? deleted : null, SpaceReclaimed: reclaimed });
			} finally {
				busy = false;
			}
		},
		{ parse: "none" },
	);
}

async function removeAll(containers: Containers, chosen: (record: ContainerRecord) => boolean, signal: AbortSignal) {
	const deleted: string[] = [];
	let reclaimed = 0;
	for (const { id } of containers.list().filter(chosen)) {
		if (signal.aborted) break;
		try {
			const { rw } = await containers.sizes(id);
			await containers.remove(id, { force: false, volumes: false, link: false });
			deleted.push(id);
			reclaimed += rw;
		} catch (error) {
			if (!(error instanceof EngineError)) throw error;
		}
	}
	return { deleted, reclaimed };
}

function chooser(filters: Filters): (record: ContainerRecord) => boolean {
	const until = untilOf(filters);
	return ({ state, created, config }) =>
		!UP.includes(state.status) &&
		(until === undefined || (parseNano(created) ?? 0n) <= until) &&
		filters.every("label", (wanted) => matchesLabel(config.Labels, wanted)) &&
		!filters.get("label!").some((wanted) => matchesLabel(config.Labels, wanted));
}

/** Nanoseconds since the epoch. */
function untilOf(filters: Filters): bigint | undefined {
	const [value, more] = filters.get("until");
	if (value === undefined) return undefined;
	if (more !== undefined) throw invalid("more than one until filter specified");
	const time = parseTimestamp(value, nowNanos());
	if (time === undefined) throw invalid(`failed to parse value as time or duration: ${JSON.stringify(value)}`);
	return time;
}
