import { Elysia } from "elysia";
import type { NetworkRecord, Sandboxes } from "../../engine/sandboxes/contract.ts";
import { EngineError } from "../../shared/errors.ts";
import { invalid } from "../errors.ts";
import { boolFilter, type Filters, filtersOf, matchesLabel, matchesPattern } from "../filters.ts";
import { queryOf } from "../query.ts";
import { networkView } from "./view.ts";

const FILTERS = ["dangling", "driver", "id", "label", "name", "scope", "type"];

const RAW = { parse: "none" } as const;

/** The networks noun: reading the predefined ones, which cannot be removed. */
export function networkRoutes(sandboxes: Sandboxes) {
	return new Elysia()
		.get("/networks", ({ request }) => {
			const filters = filtersOf(queryOf(request), FILTERS);
			checkFilters(filters);
			const found = sandboxes.networks().filter((network) => matches(network, filters));
			return Response.json(found.map((network) => networkView(network, false)));
		})
		.get("/networks/:id", ({ request, params }) => {
			const query = queryOf(request);
			checkVerbose(query.get("verbose"));
			const scope = query.get("scope") || "local";
			return Response.json(networkView(find(scope === "local" ? sandboxes.networks() : [], params.id), true));
		})
		.post("/networks/prune", () => Response.json({ NetworksDeleted: null }), RAW)
		.delete(
			"/networks/:id",
			({ params }) => {
				const { name } = find(sandboxes.networks(), params.id);
				throw new EngineError("forbidden", `${name} is a pre-defined network and cannot be removed`);
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

function find(networks: readonly NetworkRecord[], ref: string): NetworkRecord {
	const exact = networks.find((one) => one.id === ref || one.name === ref);
	if (exact) return exact;
	const byPrefix = networks.filter((one) => one.id.startsWith(ref));
	if (byPrefix.length > 1)
		throw new EngineError("invalid", `network ${ref} is ambiguous (${byPrefix.length} matches found on ID prefix)`);
	const [only] = byPrefix;
	if (!only) throw new EngineError("not-found", `network ${ref} not found`);
	return only;
}

function matches(network: NetworkRecord, filters: Filters): boolean {
	return (
		filters.any("name", (name) => matchesPattern(network.name, name)) &&
		filters.any("id", (id) => network.id.startsWith(id)) &&
		filters.any("driver", (driver) => network.driver === driver) &&
		filters.any("scope", (scope) => scope === "local") &&
		// these networks are all predefined, so none is "custom", and never dangling
		filters.any("type", (type) => type === "builtin") &&
		filters.every("label", (label) => matchesLabel({}, label)) &&
		boolFilter(filters, "dangling") !== true
	);
}
