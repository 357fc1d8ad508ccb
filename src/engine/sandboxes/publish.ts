import type { Firewall } from "../../drivers/firewall/driver.ts";
import type { PortForward } from "../../drivers/firewall/ruleset.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { formatIpv4, parseIpv4 } from "../../shared/ip.ts";
import type { PublishedPort } from "../containers/record.ts";
import type { PortRequest } from "./contract.ts";
import type { Endpoint } from "./endpoints.ts";
import type { HeldPort, PortAllocator } from "./ports.ts";

/** A sandbox's ports on the host: asked for, held, and forwarded to the endpoint that is its way out. */
export interface Published {
	readonly requests: readonly PortRequest[];
	readonly held: readonly HeldPort[];
	readonly ports: readonly PublishedPort[];
	readonly forwards: readonly PortForward[];
}

/** Publishes ports on the endpoint that leads outside: without one there is nothing to publish on, as docker has it. */
export class Publisher {
	constructor(
		private readonly allocator: PortAllocator,
		private readonly firewall: Pick<Firewall, "publish" | "unpublish">,
	) {}

	nothing(requests: readonly PortRequest[] = []): Published {
		return { requests, held: [], ports: [], forwards: [] };
	}

	/** Holds the ports; the firewall is the caller's to tell. Throws docker's words and leaves nothing. */
	prepare(containerName: string, requests: readonly PortRequest[], gateway: Endpoint | undefined): Published {
		if (!gateway || requests.length === 0) return this.nothing(requests);
		const { settings } = gateway.network;
		if (settings.outbound) return this.nothing(requests);
		if (settings.gatewayMode === "routed") return direct(requests, gateway);
		const bound = requests.map((one) => ({ ...one, hostIp: one.hostIp || settings.hostBinding }));
		try {
			const held = this.allocator.allocate(bound, formatIpv4(gateway.address));
			return { requests, held, ports: held.map(publishedOf), forwards: held.map((one) => forwardOf(one, gateway)) };
		} catch (error) {
			const code = error instanceof EngineError ? error.code : "internal";
			const endpoint = `${containerName} (${gateway.settings.endpointId})`;
			const text = `driver failed programming external connectivity on endpoint ${endpoint}: ${messageOf(error)}`;
			throw new EngineError(code, text, { cause: error });
		}
	}

	/** Takes again what was published before a restart; `lost`: how many ports others have by now. */
	adopt(ports: readonly PublishedPort[], gateway: Endpoint | undefined): { published: Published; lost: number } {
		if (!gateway) return { published: this.nothing(ports), lost: 0 };
		const bound = ports.filter(({ hostPort }) => hostPort !== 0);
		const held = bound.flatMap((port) => this.allocator.adopt(port) ?? []);
		const forwards = ports.map((port) => forwardOf(port, gateway));
		return { published: { requests: ports, held, ports, forwards }, lost: bound.length - held.length };
	}

	/** Another endpoint is the way out now, or none. Host ports that are held stay the same. */
	async move(containerName: string, before: Published, gateway: Endpoint | undefined): Promise<Published> {
		const { gatewayMode, outbound } = gateway?.network.settings ?? { outbound: true };
		const keeps = before.held.length > 0 && gateway && gatewayMode !== "routed" && !outbound;
		const after = keeps
			? { ...before, forwards: before.held.map((one) => forwardOf(one, gateway)) }
			: this.prepare(containerName, before.requests, gateway);
		await Promise.all([this.firewall.unpublish(before.forwards), this.firewall.publish(after.forwards)]);
		if (!keeps) this.letGo(before);
		return after;
	}

	/** Frees the host's ports. */
	letGo({ held }: Published): void {
		for (const port of held) port.release();
	}
}

/** On a routed network the container's own ports are opened. */
function direct(requests: readonly PortRequest[], gateway: Endpoint): Published {
	const ports = requests.map(({ protocol, containerPort }) => ({
		protocol,
		containerPort,
		hostIp: "0.0.0.0",
		hostPort: 0,
	}));
	return { requests, held: [], ports, forwards: ports.map((port) => forwardOf(port, gateway)) };
}

function publishedOf({ protocol, containerPort, hostIp, hostPort }: PublishedPort): PublishedPort {
	return { protocol, containerPort, hostIp, hostPort };
}

function forwardOf(port: PublishedPort, { address, network }: Endpoint): PortForward {
	const { protocol, hostPort, containerPort } = port;
	const forward = { protocol, hostAddress: parseIpv4(port.hostIp) ?? 0, hostPort, address, port: containerPort };
	return network.settings.gatewayMode === "routed" ? { ...forward, direct: true } : forward;
}
