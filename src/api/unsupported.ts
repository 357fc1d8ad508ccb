import { Elysia } from "elysia";
import { EngineError } from "../shared/errors.ts";

/** Operations of the Docker API that this engine does not have yet: named in the refusal, so that nobody takes them for a wrong path. */
const OPERATIONS: readonly (readonly ["GET" | "POST" | "PUT" | "DELETE" | "HEAD", string])[] = [
	["POST", "/swarm/init"],
	["POST", "/swarm/join"],
	["POST", "/plugins/pull"],
	["POST", "/plugins/create"],
	["GET", "/plugins/privileges"],
];

/** Answers 501 to each of them but those that have a route already ("POST /images/:name/push"). */
export function unsupportedRoutes(served: ReadonlySet<string>) {
	const app = new Elysia();
	for (const [method, path] of OPERATIONS) {
		if (served.has(`${method} ${path}`)) continue;
		app.route(
			method,
			path,
			() => {
				throw new EngineError(
					"not-implemented",
					`${method} ${path.replaceAll(/:(\w+)/g, "{$1}")} is not supported yet`,
				);
			},
			{ parse: "none" },
		);
	}
	return app;
}
