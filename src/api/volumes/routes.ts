import { Elysia } from "elysia";
import { EngineError } from "../../shared/errors.ts";

/** The volumes noun: there are none yet, which is said truthfully. */
export function volumeRoutes() {
	return new Elysia()
		.get("/volumes", () => Response.json({ Volumes: [], Warnings: null }))
		.get("/volumes/:name", ({ params }) => {
			throw new EngineError("not-found", `get ${params.name}: no such volume`);
		});
}
