import { Elysia } from "elysia";
import { EngineError } from "../../shared/errors.ts";
import { invalid } from "../errors.ts";
import { filtersOf } from "../filters.ts";
import { queryOf } from "../query.ts";

const RAW = { parse: "none" } as const;
const NOUNS = ["swarm", "nodes", "services", "tasks", "secrets", "configs"];
const TEXT =
	'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

/** Swarm and plugins, answered as by an engine that has neither. */
export function swarmRoutes() {
	const app = new Elysia();
	for (const noun of NOUNS) {
		app.get(`/${noun}`, refuse);
		if (noun === "swarm") continue;
		app.get(`/${noun}/:id`, refuse).delete(`/${noun}/:id`, refuse, RAW);
		app
			.post(`/${noun}/create`, refuse, RAW)
			.post(`/${noun}/:id/update`, ({ request }) => refuseUpdate(noun, request), RAW);
	}
	return app
		.post(
			"/swarm/leave",
			() => {
				throw new EngineError("unavailable", "This node is not part of a swarm");
			},
			RAW,
		)
		.post("/swarm/update", ({ request }) => refuseUpdate("swarm", request), RAW)
		.post("/swarm/unlock", refuse, RAW)
		.get("/swarm/unlockkey", refuse)
		.get("/services/:id/logs", refuse)
		.get("/tasks/:id/logs", refuse)
		.use(pluginRoutes());
}

function refuse(): never {
	throw new EngineError("unavailable", TEXT);
}

/** docker reads the version of what is to be updated before it looks for the swarm. */
function refuseUpdate(noun: string, request: Request): never {
	const version = queryOf(request).get("version") ?? "";
	if (/^\d{1,20}$/.test(version)) refuse();
	const one = noun.replace(/s$/, "");
	const why = `strconv.ParseUint: parsing ${JSON.stringify(version)}: invalid syntax`;
	const short = one === "secret" || one === "config";
	throw invalid(short ? `invalid ${one} version` : `invalid ${one} version '${version}': ${why}`);
}

function pluginRoutes() {
	const missing = ({ params }: { params: { name: string } }) => {
		throw new EngineError("not-found", `plugin ${JSON.stringify(params.name)} not found`);
	};
	const app = new Elysia()
		.get("/plugins", ({ request }) => {
			filtersOf(queryOf(request), ["enabled", "capability"]);
			return Response.json([]);
		})
		.get("/plugins/:name/json", missing)
		.delete("/plugins/:name", missing, RAW);
	for (const action of ["enable", "disable", "upgrade", "push", "set"]) {
		app.post(`/plugins/:name/${action}`, missing, RAW);
	}
	return app;
}
