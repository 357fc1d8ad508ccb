import { EngineError } from "../../shared/errors.ts";
import type { NetworkRow } from "../../store/networks.ts";
import type { LiveNetworks } from "../networks/live.ts";
import type { JoinRequest, PortRequest } from "./contract.ts";

/** The network without interfaces that a container asks for by its name (`--network loopback`); undefined when it asks for bridges. "invalid" for one beside others, and for ports, which nothing could answer. */
export function bareNetwork(live: LiveNetworks, { mode, endpoints = [], ports }: JoinRequest): NetworkRow | undefined {
	if (mode !== "bridge") return undefined;
	const bare = endpoints.flatMap(({ network }) => live.bare(network) ?? [])[0];
	if (!bare) return undefined;
	if (endpoints.length > 1) {
		throw new EngineError(
			"invalid",
			`container cannot be connected to multiple networks with one of the networks in private (${bare.name}) mode`,
		);
	}
	refusePorts(bare.name, ports);
	return bare;
}

/** "invalid" when ports shall be published on a network that nothing comes into. */
export function refusePorts(network: string, ports: readonly PortRequest[]): void {
	const [first] = ports;
	if (!first) return;
	throw new EngineError(
		"invalid",
		`cannot publish port ${first.containerPort}/${first.protocol}: nothing comes into network ${network}; use network full`,
	);
}
