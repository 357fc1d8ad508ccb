import type { Builds } from "../engine/build/contract.ts";
import { BuildJobs } from "./buildkit/jobs.ts";
import { BuildKitServer } from "./buildkit/serve.ts";
import { BuildSessions } from "./buildkit/session.ts";
import { ContainerList } from "./containers/list.ts";
import { createSessions } from "./hijack.ts";
import { Listener } from "./listener.ts";
import { type ApiServices, createRouter } from "./router.ts";
import type { TlsFiles } from "./sockets.ts";

/** The whole HTTP API over the engine's services: `listen(hosts)` opens it, `close()` ends it. */
export function createApi(services: ApiServices, tls?: TlsFiles): Listener {
	const list = new ContainerList(services.containers, services.images);
	return new Listener({
		route: createRouter(services, list),
		sessions: createSessions(services.containers, services.execs),
		list,
		version: services.facts.version,
		log: services.log,
		tls,
		buildKit: services.builds && createBuildKit(services, services.builds),
	});
}

function createBuildKit({ images, networks, facts, log }: ApiServices, builds: Builds): BuildKitServer {
	const hostGateway = () => {
		try {
			return networks.inspect("bridge").gateway ?? "";
		} catch {
			return "";
		}
	};
	const worker = { id: facts.id, version: facts.version, platforms: [`linux/${facts.arch}`], hostGateway };
	return new BuildKitServer({ builds, images, sessions: new BuildSessions(), jobs: new BuildJobs(), worker, log });
}
