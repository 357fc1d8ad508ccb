import type { listWorkersResponse } from "./messages.ts";
import type { WorkerFacts } from "./parts.ts";
import type { Decoded } from "./protobuf.ts";

const HOST_GATEWAY = "org.mobyproject.buildkit.worker.moby.host-gateway-ip";

/** What we are as a worker of BuildKit: by the labels clients know dockerd's. */
export function workerRecord({
	id,
	version,
	platforms,
	hostGateway,
}: WorkerFacts): Decoded<typeof listWorkersResponse>["record"][number] {
	const gateway = hostGateway();
	return {
		ID: id,
		Labels: new Map(gateway === "" ? [] : [[HOST_GATEWAY, gateway]]),
		platforms: platforms.map((platform) => {
			const [OS = "", Architecture = "", Variant = ""] = platform.split("/");
			return { OS, Architecture, Variant };
		}),
		GCPolicy: [],
		BuildkitVersion: { package: "foredeck", version: `v${version}`, revision: "" },
	};
}
