import { Elysia } from "elysia";
import type { VolumeRecord, Volumes } from "../../engine/volumes/contract.ts";
import { ANONYMOUS_LABEL } from "../../engine/volumes/names.ts";
import { EngineError } from "../../shared/errors.ts";
import { readOptionalJson } from "../body.ts";
import { invalid } from "../errors.ts";
import { type Filters, filtersOf, matchesLabel } from "../filters.ts";
import { boolOf, queryOf } from "../query.ts";
import { versionOf } from "../version.ts";
import { decodeVolumeCreate } from "./schema.ts";
import { volumeView } from "./view.ts";

const RAW = { parse: "none" } as const;
const FILTERS = ["dangling", "driver", "label", "name"];
const PRUNE_FILTERS = ["all", "label", "label!"];
const SWARM_ONLY =
	'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

/** The volumes noun. */
export function volumeRoutes(volumes: Volumes) {
	return new Elysia()
		.get("/volumes", ({ request }) => {
			const filters = filtersOf(queryOf(request), FILTERS);
			const dangling = danglingOf(filters);
			const found = volumes.list().filter((volume) => matches(volumes, volume, filters, dangling));
			return Response.json({ Volumes: found.map(volumeView), Warnings: null });
		})
		.post("/volumes/create", ({ request }) => create(volumes, request), RAW)
		.post("/volumes/prune", ({ request }) => prune(volumes, request), RAW)
		.get("/volumes/:name", ({ params }) => Response.json(volumeView(volumes.inspect(nameOf(params)))))
		.put(
			"/volumes/:name",
			() => {
				throw new EngineError("unavailable", "volume update only valid for cluster volumes, but swarm is unavailable");
			},
			RAW,
		)
		.delete(
			"/volumes/:name",
			async ({ request, params }) => {
				await volumes.remove(nameOf(params), { force: boolOf(queryOf(request), "force") });
				return new Response(null, { status: 204 });
			},
			RAW,
		);
}

function nameOf(params: { name: string }): string {
	try {
		return decodeURIComponent(params.name);
	} catch {
		throw invalid(`invalid volume name ${params.name}: not URL-encoded`);
	}
}

async function create(volumes: Volumes, request: Request): Promise<Response> {
	const asked = await readOptionalJson(request, decodeVolumeCreate, "CreateOptions");
	if (asked.clustered) throw new EngineError("unavailable", SWARM_ONLY);
	const created = await volumes.create({
		name: asked.Name,
		driver: asked.Driver,
		options: asked.DriverOpts,
		labels: asked.Labels,
	});
	return Response.json(volumeView(created), { status: 201 });
}

async function prune(volumes: Volumes, request: Request): Promise<Response> {
	const filters = filtersOf(queryOf(request), PRUNE_FILTERS);
	// Before API 1.42 named volumes went too.
	const all = allOf(filters) ?? versionOf(request) < 42;
	const { deleted, reclaimed } = await volumes.prune(
		({ labels }) =>
			(all || Object.hasOwn(labels ?? {}, ANONYMOUS_LABEL)) &&
			filters.every("label", (wanted) => matchesLabel(labels ?? {}, wanted)) &&
			!filters.get("label!").some((wanted) => matchesLabel(labels ?? {}, wanted)),
	);
	return Response.json({ VolumesDeleted: deleted, SpaceReclaimed: reclaimed });
}

function matches(volumes: Volumes, volume: VolumeRecord, filters: Filters, dangling: boolean | undefined): boolean {
	return (
		(dangling === undefined || dangling === (volumes.users(volume.name).length === 0)) &&
		filters.any("driver", (driver) => volume.driver === driver) &&
		filters.any("name", (pattern) => matchesName(volume.name, pattern)) &&
		filters.every("label", (wanted) => matchesLabel(volume.labels ?? {}, wanted))
	);
}

/** A part of the name or a regular expression; one that cannot be read matches nothing, as docker has it. */
function matchesName(name: string, pattern: string): boolean {
	if (name.includes(pattern)) return true;
	try {
		return new RegExp(pattern).test(name);
	} catch {
		return false;
	}
}

const YES = ["1", "t", "true"];
const NO = ["0", "f", "false"];

/** Both values at once say nothing, and are refused. */
function danglingOf(filters: Filters): boolean | undefined {
	const values = filters.get("dangling");
	if (values.length === 0) return undefined;
	const [value = ""] = values;
	const known = [...YES, ...NO].includes(value.toLowerCase());
	if (values.length > 1 || !known) throw invalid(`invalid filter 'dangling=[${values.join(" ")}]'`);
	return YES.includes(value.toLowerCase());
}

function allOf(filters: Filters): boolean | undefined {
	const [value, more] = filters.get("all");
	if (value === undefined) return undefined;
	if (more !== undefined) throw invalid("invalid filter 'all': only one value is expected");
	if (YES.includes(value.toLowerCase())) return true;
	if (NO.includes(value.toLowerCase())) return false;
	throw invalid(`invalid filter 'all': strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`);
}
