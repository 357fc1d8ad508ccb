import { Elysia } from "elysia";
import type { NetworkRecord, Sandboxes } from "../../engine/sandboxes/contract.ts";
import { EngineError } from "../../shared/errors.ts";
import { boolFilter, type Filters, filtersOf, matchesLabel, matchesPattern } from "../filters.ts";
import { queryOf } from "../query.ts";
import { networkView } from "./view.ts";

const FILTERS = ["dangling", "driver", "id", "label", "name", "scope", "type"];

/** The networks noun: reading the predefined ones. */
export function networkRoutes(sandboxes: Sandboxes) {
	return new Elysia()
		.get("/networks", ({ request }) => {
			const filters = filtersOf(queryOf(request), FILTERS);
			const found = sandboxes.networks().filter((network) => matches(network, filters));
			return Response.json(found.map((network) => networkView(network, false)));
		})
		.get("/networks/:id", ({ params }) => Response.json(networkView(find(sandboxes.networks(), params.id), true)));
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
