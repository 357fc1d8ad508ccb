import type { Firewall } from "../../drivers/firewall/driver.ts";
import type { PortForward } from "../../drivers/firewall/ruleset.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { formatIp, parseIp } from "../../shared/ip.ts";
import type { PublishedPort } from "../containers/record.ts";
import type { GatewayMode } from "../networks/bridge-options.ts";
import type { PortRequest } from "./contract.ts";
import type { Endpoint, WaysOut } from "./endpoints.ts";
import type { BoundRequest, HeldPort, PortAllocator } from "./ports.ts";

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
	prepare(containerName: string, requests: readonly PortRequest[], ways: WaysOut, strict = true): Published {
		const [four, six] = [usable(ways.four), usable(ways.six)];
		const gateway = four ?? six;
		if (!gateway || requests.length === 0) return this.nothing(requests);
		try {
			const held = this.allocator.allocate(requests.flatMap((request) => bound(request, { four, six }, strict)));
			const ports = [...held.map(publishedOf), ...requests.flatMap((request) => direct(request, { four, six }))];
			return { requests, held, ports, forwards: forwardsOf(ports, { four, six }) };
		} catch (error) {
			const code = error instanceof EngineError ? error.code : "internal";
			const endpoint = `${containerName} (${gateway.settings.endpointId})`;
			const text = `driver failed programming external connectivity on endpoint ${endpoint}: ${messageOf(error)}`;
			throw new EngineError(code, text, { cause: error });
		}
	}

	/** Takes again what was published before a restart; `lost`: how many ports others have by now. */
	adopt(ports: readonly PublishedPort[], ways: WaysOut): { published: Published; lost: number } {
		if (!ways.four && !ways.six) return { published: this.nothing(ports), lost: 0 };
		const toHold = ports.filter(({ hostPort }) => hostPort !== 0);
		const held = toHold.flatMap((port) => this.allocator.adopt(port) ?? []);
		const forwards = forwardsOf(ports, ways);
		return { published: { requests: ports, held, ports, forwards }, lost: toHold.length - held.length };
	}

	/** Other endpoints are the ways out now, or none. Host ports that are held stay the same where the families do. */
	async move(containerName: string, before: Published, ways: WaysOut): Promise<Published> {
		const [four, six] = [usable(ways.four), usable(ways.six)];
		const wanted = before.requests.flatMap((request) =>
			bound(request, { four, six }, false).flatMap((one) => one.hostIps),
		);
		const same =
			wanted.length === before.held.length &&
			wanted.every((ip, at) => parseIp(ip) === parseIp(before.held[at]?.hostIp ?? ""));
		const keeps = before.held.length > 0 && same && before.ports.length === before.held.length;
		if (!keeps) this.letGo(before);
		const after = keeps
			? { ...before, forwards: forwardsOf(before.ports, ways) }
			: this.prepare(containerName, before.requests, ways, false);
		await Promise.all([this.firewall.unpublish(before.forwards), this.firewall.publish(after.forwards)]);
		return after;
	}

	/** Frees the host's ports. */
	letGo({ held }: Published): void {
		for (const port of held) port.release();
	}
}

/** Nothing can be published on an outbound network, and nothing need be on a macvlan one: it is on the wire itself. */
function usable(way: Endpoint | undefined): Endpoint | undefined {
	return way?.network.settings.outbound || way?.network.macvlan ? undefined : way;
}

function familyOf({ hostIp }: Pick<PublishedPort, "hostIp">): 4 | 6 {
	return hostIp.includes(":") ? 6 : 4;
}

function modeOf({ network: { settings } }: Endpoint, family: 4 | 6): GatewayMode {
	return family === 6 ? settings.gatewayMode6 : settings.gatewayMode;
}

/** Whether a port of the host leads to it. */
function isTranslated(way: Endpoint | undefined, family: 4 | 6): way is Endpoint {
	return usable(way) !== undefined && way !== undefined && modeOf(way, family) !== "routed";
}

/** The host addresses of a request, those of both families where it names none. For one of a family that leads nowhere: "unsupported" when `strict`, else none. */
function bound(request: PortRequest, { four, six }: WaysOut, strict: boolean): BoundRequest[] {
	const hostIps: string[] = [];
	if (request.hostIp === "") {
		if (isTranslated(four, 4)) hostIps.push(four.network.settings.hostBinding || "0.0.0.0");
		if (isTranslated(six, 6)) hostIps.push(six.network.settings.hostBinding6 || "::");
	} else {
		const family = familyOf(request);
		const way = family === 6 ? six : four;
		if (!way && strict) {
			const text = `cannot publish on host address ${request.hostIp}: no network of the container leads outside by IPv${family}`;
			throw new EngineError("unsupported", text);
		}
		if (parseIp(request.hostIp) === 1n) {
			throw new EngineError(
				"unsupported",
				"cannot publish on host address ::1: Linux translates no loopback of IPv6; use 127.0.0.1",
			);
		}
		if (isTranslated(way, family)) hostIps.push(request.hostIp);
	}
	if (hostIps.length === 0) return [];
	const address = hostIps.some((hostIp) => familyOf({ hostIp }) === 4) ? four?.address : six?.address6;
	return [{ ...request, hostIps, containerIp: address === undefined ? "" : formatIp(address) }];
}

/** On a routed network the container's own ports are opened. */
function direct({ protocol, containerPort, hostIp }: PortRequest, { four, six }: WaysOut): PublishedPort[] {
	const open = (way: Endpoint | undefined, family: 4 | 6, any: string): PublishedPort[] => {
		if (!way || modeOf(way, family) !== "routed") return [];
		if (hostIp !== "" && familyOf({ hostIp }) !== family) return [];
		return [{ protocol, containerPort, hostIp: any, hostPort: 0 }];
	};
	return [...open(four, 4, "0.0.0.0"), ...open(six, 6, "::")];
}

function publishedOf({ protocol, containerPort, hostIp, hostPort }: PublishedPort): PublishedPort {
	return { protocol, containerPort, hostIp, hostPort };
}

/** Each to the way out of its family. */
function forwardsOf(ports: readonly PublishedPort[], { four, six }: WaysOut): PortForward[] {
	return ports.flatMap((port) => {
		const family = familyOf(port);
		const way = family === 6 ? six : four;
		const address = family === 6 ? way?.address6 : way?.address;
		const hostAddress = parseIp(port.hostIp);
		if (!way || address === undefined || hostAddress === undefined) return [];
		const { protocol, hostPort, containerPort } = port;
		const forward = { protocol, hostAddress, hostPort, address, port: containerPort };
		return [modeOf(way, family) === "routed" ? { ...forward, direct: true } : forward];
	});
}
