import type { NetworkInsight } from "../../engine/topology/contract.ts";
import type { Route } from "../router.ts";
import { checkRoutes } from "./checks/routes.ts";
import { networkStatusRoutes } from "./network-status/routes.ts";
import { topologyRoutes } from "./topology/routes.ts";

/** All that tells how the networks are. */
export function insightRoutes(insight: NetworkInsight): Route[] {
	return [topologyRoutes(insight) as never, checkRoutes(insight) as never, networkStatusRoutes(insight) as never];
}
