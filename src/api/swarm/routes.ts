import { Elysia } from "elysia";
import { EngineError } from "../../shared/errors.ts";

const NOUNS = ["swarm", "nodes", "services", "tasks", "secrets", "configs"];
const TEXT =
	'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

/** Swarm and plugins, answered as by an engine that has neither. */
export function swarmRoutes() {
	const app = new Elysia().get("/plugins", () => Response.json([]));
	const refuse = () => {
		throw new EngineError("unavailable", TEXT);
	};
	for (const noun of NOUNS) {
		app.get(`/${noun}`, refuse);
		if (noun !== "swarm") app.get(`/${noun}/:id`, refuse).delete(`/${noun}/:id`, refuse);
		if (noun !== "swarm") app.post(`/${noun}/create`, refuse).post(`/${noun}/:id/update`, refuse);
	}
	return app
		.post("/swarm/leave", refuse)
		.post("/swarm/update", refuse)
		.get("/swarm/unlockkey", refuse)
		.get("/services/:id/logs", refuse)
		.get("/tasks/:id/logs", refuse);
}
