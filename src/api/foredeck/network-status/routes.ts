import { Elysia } from "elysia";
import type { NetworkInsight } from "../../../engine/topology/contract.ts";

/** `GET /foredeck/v1/network-status` */
export function networkStatusRoutes(insight: Pick<NetworkInsight, "status">) {
	return new Elysia().get("/foredeck/v1/network-status", () => Response.json(insight.status()));
}
