import { Elysia } from "elysia";
import type { Containers } from "../../engine/containers/contract.ts";
import type { Networks } from "../../engine/networks/contract.ts";
import { findNetwork } from "../../engine/networks/find.ts";
import { isPredefined } from "../../engine/networks/service.ts";
import type { NetworkRecord } from "../../engine/sandboxes/contract.ts";
import { EngineError } from "../../shared/errors.ts";
import { nowNanos, parseNano } from "../../shared/time.ts";
import { readOptionalJson } from "../body.ts";
import { invalid } from "../errors.ts";
import { boolFilter, type Filters, filtersOf, matchesLabel, matchesPattern } from "../filters.ts";
import { queryOf } from "../query.ts";
import { parseTimestamp } from "../timestamp.ts";
import { decodeConnect, decodeDisconnect, decodeNetwork } from "./schema.ts";
import { networkView } from "./view.ts";

const FILTERS = ["dangling", "driver", "id", "label", "name", "scope", "type"];
const PRUNE_FILTERS = ["until", "label", "label!"];

const RAW = { parse: "none" } as const;

const done = () => new Response(null, { status: 200 });

/** The networks noun. Connect and disconnect change a container: they are asked of the containers. */
export function networkRoutes(networks: Networks, containers: Pick<Containers, "connect" | "disconnect">) {
	return new Elysia()
		.get("/networks", ({ request }) => {
			const filters = filtersOf(queryOf(request), FILTERS);
			checkFilters(filters);
			const found = networks.list().filter((network) => matches(network, filters));
			return Response.json(found.map((network) => networkView(network, false)));
		})
		.get("/networks/:id", ({ request, params }) => {
			const query = queryOf(request);
			checkVerbose(query.get("verbose"));
			const scope = query.get("scope") || "local";
			return Response.json(networkView(findNetwork(scope === "local" ? networks.list() : [], params.id), true));
		})
		.post(
			"/networks/create",
			async ({ request }) => {
				const { id } = await networks.create(await readOptionalJson(request, decodeNetwork, "CreateRequest"));
				return Response.json({ Id: id, Warning: "" }, { status: 201 });
			},
			RAW,
		)
		.post(
			"/networks/:id/connect",
			async ({ request, params }) => {
				const { Container, EndpointConfig } = await readOptionalJson(request, decodeConnect, "ConnectOptions");
				await containers.connect(Container, params.id, EndpointConfig);
				return done();
			},
			RAW,
		)
		.post(
			"/networks/:id/disconnect",
			async ({ request, params }) => {
				const { Container, Force } = await readOptionalJson(request, decodeDisconnect, "DisconnectOptions");
				await containers.disconnect(Container, params.id).catch((error) => {
					// by force docker looks for an endpoint of that name, of a container that is no more
					const gone = error instanceof EngineError && error.message === `No such container: ${Container}`;
					throw Force && gone ? new EngineError("not-found", `endpoint ${Container} not found`) : error;
				});
				return done();
			},
			RAW,
		)
		.post(
			"/networks/prune",
			async ({ request }) => {
				const removed = await networks.prune(pruneFilter(filtersOf(queryOf(request), PRUNE_FILTERS)));
				return Response.json({ NetworksDeleted: removed.length > 0 ? removed : null });
			},
			RAW,
		)
		.delete(
			"/networks/:id",
			async ({ params }) => {
				await networks.remove(params.id);
				return new Response(null, { status: 204 });
			},
			RAW,
		);
}

/** Go's booleans: this one query value is read by strconv. */
function checkVerbose(text: string | null): void {
	if (!text || /^(1|0|t|f|true|false)$/i.test(text)) return;
	throw invalid(
		`invalid value for verbose: ${text}: strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`,
	);
}

function checkFilters(filters: Filters): void {
	for (const type of filters.get("type")) {
		if (type !== "builtin" && type !== "custom") throw invalid(`invalid filter: 'type'='${type}'`);
	}
	for (const value of filters.get("dangling")) {
		if (/^(1|0|true|false)$/i.test(value)) continue;
		throw invalid('invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")');
	}
}

function matches(network: NetworkRecord, filters: Filters): boolean {
	const type = isPredefined(network) ? "builtin" : "custom";
	const dangling = boolFilter(filters, "dangling");
	return (
		filters.any("name", (name) => matchesPattern(network.name, name)) &&
		filters.any("id", (id) => network.id.startsWith(id) || matchesPattern(network.id, id)) &&
		filters.any("driver", (driver) => network.driver === driver) &&
		filters.any("scope", (scope) => scope === "local") &&
		filters.any("type", (wanted) => type === wanted) &&
		filters.every("label", (label) => matchesLabel(network.config?.labels ?? {}, label)) &&
		(dangling === undefined || dangling === (type === "custom" && network.endpoints.length === 0))
	);
}

/** `until` a time, with these labels and without those. */
function pruneFilter(filters: Filters): (network: NetworkRecord) => boolean {
	const until = untilOf(filters);
	return ({ created, config }) => {
		const labels = config?.labels ?? {};
		return (
			(until === undefined || (parseNano(created) ?? 0n) <= until) &&
			filters.every("label", (label) => matchesLabel(labels, label)) &&
			filters.every("label!", (label) => !matchesLabel(labels, label))
		);
	};
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
