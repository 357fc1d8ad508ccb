import { type AnyElysia, Elysia } from "elysia";
import type { Builds } from "../engine/build/contract.ts";
import type { Containers, Execs } from "../engine/containers/contract.ts";
import type { Events } from "../engine/events.ts";
import type { Images } from "../engine/images/contract.ts";
import type { Networks } from "../engine/networks/contract.ts";
import type { SystemFacts } from "../engine/system.ts";
import type { Volumes } from "../engine/volumes/contract.ts";
import { EngineError } from "../shared/errors.ts";
import type { Logger } from "../shared/log.ts";
import { buildPruneRoutes } from "./build/prune.ts";
import { buildRoutes } from "./build/routes.ts";
import type { BuildKitEntrance } from "./buildkit/entrance.ts";
import type { ContainerList } from "./containers/list.ts";
import { pruneRoutes } from "./containers/prune.ts";
import { containerRoutes } from "./containers/routes.ts";
import { errorResponse, invalid, pageNotFound } from "./errors.ts";
import { execRoutes } from "./exec/routes.ts";
import { networkRoutes } from "./networks/routes.ts";
import { swarmRoutes } from "./swarm/routes.ts";
import { systemRoutes } from "./system/routes.ts";
import { unsupportedRoutes } from "./unsupported.ts";
import { volumeRoutes } from "./volumes/routes.ts";

/** The engine's services, as the API needs them. */
export interface ApiServices {
	readonly containers: Containers;
	readonly execs: Execs;
	readonly images: Images;
	readonly networks: Networks;
	readonly volumes: Volumes;
	readonly events: Events;
	readonly facts: SystemFacts;
	readonly log: Logger;
	/** With them builds and BuildKit's protocol are served. */
	readonly builds?: Builds;
	/** Routes of other parts: images, and our own nouns. */
	readonly extra: readonly Route[];
}

/** Anything with Elysia's `routes` and `fetch`. */
export type Route = AnyElysia;

const place = ({ dataRoot, storageDriver: driver, apparmorProfile }: ApiServices["facts"]) => ({
	dataRoot,
	driver,
	apparmorProfile,
});

/** All routes but those that take a socket over; a function from request to reply that never throws. */
export function createRouter(
	services: ApiServices,
	list: ContainerList,
	buildKit: BuildKitEntrance | undefined,
): (request: Request) => Promise<Response> {
	const { containers, execs, facts, log } = services;
	const app = new Elysia({ strictPath: true }).onError(({ code, error, request }) => {
		if (code === "NOT_FOUND") return pageNotFound();
		const facts = { method: request.method, url: request.url, error };
		if (request.signal.aborted) log.debug("client gone amid its request", facts);
		else if (!(error instanceof EngineError)) log.error("request failed", { ...facts, stack: stackOf(error) });
		return errorResponse(error);
	});
	for (const route of services.extra) app.use(route);
	app
		.use(containerRoutes(containers, list, place(facts)))
		.use(pruneRoutes(containers, services.events))
		.use(buildPruneRoutes(services.builds))
		.use(execRoutes(execs))
		.use(networkRoutes(services.networks, containers))
		.use(volumeRoutes(services.volumes))
		.use(systemRoutes({ ...services, list }))
		.use(swarmRoutes());
	if (services.builds && buildKit) app.use(buildRoutes(services.builds, buildKit));
	app.use(unsupportedRoutes(new Set(app.routes.map((route) => `${route.method} ${route.path}`))));
	return async (request) => {
		try {
			if (!isEncoded(request.url))
				return errorResponse(invalid(`invalid URL escape in path: ${request.url.slice(16, 116)}`));
			return await app.fetch(request);
		} catch (error) {
			log.error("request failed", { method: request.method, url: request.url, error });
			return errorResponse(error);
		}
	};
}

/** Elysia gives handlers no parameters at all where one cannot be decoded. */
function isEncoded(url: string): boolean {
	if (!url.includes("%")) return true;
	try {
		decodeURIComponent(url.split("?", 1)[0] ?? "");
		return true;
	} catch {
		return false;
	}
}

function stackOf(error: unknown): string | undefined {
	return error instanceof Error ? error.stack : undefined;
}
