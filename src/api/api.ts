import type { Builds } from "../engine/build/contract.ts";
import { BuildKitEntrance } from "./buildkit/entrance.ts";
import { ContainerList } from "./containers/list.ts";
import { createSessions } from "./hijack.ts";
import { Listener } from "./listener.ts";
import { type ApiServices, createRouter } from "./router.ts";
import type { TlsFiles } from "./sockets.ts";

/** The whole HTTP API over the engine's services: `listen(hosts)` opens it, `close()` ends it. */
export function createApi(services: ApiServices, tls?: TlsFiles): Listener {
	const list = new ContainerList(services.containers, services.images);
	const buildKit = services.builds && createBuildKit(services, services.builds);
	return new Listener({
		route: createRouter(services, list, buildKit),
		sessions: createSessions(services.containers, services.execs),
		list,
		version: services.facts.version,
		log: services.log,
		tls,
		buildKit,
	});
}

function createBuildKit({ images, networks, facts, log }: ApiServices, builds: Builds): BuildKitEntrance {
	const hostGateway = () => {
		try {
			return networks.inspect("bridge").gateway ?? "";
		} catch {
			return "";
		}
	};
	const worker = { id: facts.id, version: facts.version, platforms: [`linux/${facts.arch}`], hostGateway };
	return new BuildKitEntrance(async () => {
		const { createBuildKitServer } = await import("./buildkit/serve.ts");
		return createBuildKitServer({ builds, images, worker, log });
	});
}
