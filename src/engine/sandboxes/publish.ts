import type { Firewall } from "../../drivers/firewall/driver.ts";
import type { PortForward } from "../../drivers/firewall/ruleset.ts";
import type { NetworkDriver, PortRelay, RelayedPort } from "../../drivers/network/driver.ts";
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
	/** What the kernel does. */
	readonly forwards: readonly PortForward[];
	/** Every port by IPv6: the relay holds it, for what the kernel does not translate. */
	readonly relays: readonly RelayedPort[];
}

/** Publishes ports on the endpoint that leads outside: without one there is nothing to publish on, as docker has it. */
export class Publisher {
	constructor(
		private readonly allocator: PortAllocator,
		private readonly firewall: Pick<Firewall, "publish" | "unpublish">,
		private readonly relay: PortRelay,
		private readonly host: Pick<NetworkDriver, "hasIpv6">,
	) {}

	nothing(requests: readonly PortRequest[] = []): Published {
		return { requests, held: [], ports: [], forwards: [], relays: [] };
	}

	/** Holds the ports, which are opened later. Throws docker's words and leaves nothing. */
	prepare(containerName: string, requests: readonly PortRequest[], ways: WaysOut, strict = true): Published {
		const [four, six] = [usable(ways.four), usable(ways.six)];
		const gateway = four ?? six;
		if (!gateway || requests.length === 0) return this.nothing(requests);
		try {
			const held = this.allocator.allocate(requests.flatMap((request) => this.bound(request, { four, six }, strict)));
			const open = requests.flatMap((request) => direct(request, { four, six }));
			const translated = held.map(publishedOf);
			// IPv4 first, as docker lists them.
			const isFirst = open.some((port) => familyOf(port) === 4);
			const ports = isFirst ? [...open, ...translated] : [...translated, ...open];
			return { requests, held, ports, ...leadsOf(ports, { four, six }) };
		} catch (error) {
			throw failed(error, containerName, gateway);
		}
	}

	/** Opens what has been prepared. Throws docker's words, with nothing open. */
	async open(containerName: string, { held, forwards, relays }: Published, ways: WaysOut): Promise<void> {
		handOver(held);
		const [relayed, translated] = await Promise.allSettled([
			this.relay.change(relays, []),
			this.firewall.publish(forwards),
		]);
		if (relayed.status === "fulfilled" && translated.status === "fulfilled") return;
		await this.shut({ forwards, relays });
		if (translated.status === "rejected") throw translated.reason;
		const [first] = relays;
		const reason = relayed.status === "rejected" ? messageOf(relayed.reason) : "";
		const cause = new EngineError("internal", `failed to bind host port for ${first && textOf(first)}: ${reason}`);
		throw failed(cause, containerName, ways.four ?? ways.six);
	}

	/** Shut for good; the host's ports are still held. */
	async shut({ forwards, relays }: Pick<Published, "forwards" | "relays">): Promise<void> {
		const done = await Promise.allSettled([this.firewall.unpublish(forwards), this.relay.change([], relays)]);
		for (const result of done) if (result.status === "rejected") throw result.reason;
	}

	/** Takes again what was published before a restart; `lost`: how many ports others have by now. */
	adopt(ports: readonly PublishedPort[], ways: WaysOut): { published: Published; lost: number } {
		if (!ways.four && !ways.six) return { published: this.nothing(ports), lost: 0 };
		const toHold = ports.filter(({ hostPort }) => hostPort !== 0);
		const held = toHold.flatMap((port) => this.allocator.adopt(port, isRelayed(port)) ?? []);
		return { published: { requests: ports, held, ports, ...leadsOf(ports, ways) }, lost: toHold.length - held.length };
	}

	/** Other endpoints are the ways out now, or none. Host ports that are held stay the same where the families do. */
	async move(containerName: string, before: Published, ways: WaysOut): Promise<Published> {
		const [four, six] = [usable(ways.four), usable(ways.six)];
		const wanted = before.requests.flatMap((request) =>
			this.bound(request, { four, six }, false).flatMap((one) => one.hostIps),
		);
		const same =
			wanted.length === before.held.length &&
			wanted.every((ip, at) => parseIp(ip) === parseIp(before.held[at]?.hostIp ?? ""));
		const keeps = before.held.length > 0 && same && before.ports.length === before.held.length;
		if (keeps) {
			const after = { ...before, ...leadsOf(before.ports, ways) };
			const relayed = this.relay.change(after.relays, before.relays);
			await Promise.all([this.firewall.unpublish(before.forwards), this.firewall.publish(after.forwards), relayed]);
			return after;
		}
		await this.shut(before);
		this.letGo(before);
		const after = this.prepare(containerName, before.requests, ways, false);
		await this.open(containerName, after, ways);
		return after;
	}

	/** Frees the host's ports. */
	letGo({ held }: Published): void {
		for (const port of held) port.release();
	}

	/** The host addresses of a request, those of both families where it names none. For one of a family that leads nowhere: "unsupported" when `strict`, else none. */
	private bound(request: PortRequest, { four, six }: WaysOut, strict: boolean): BoundRequest[] {
		const canRelay = request.protocol !== "sctp";
		const hostIps = request.hostIp === "" ? this.anyAddress({ four, six }, canRelay) : [request.hostIp];
		const [first] = hostIps;
		if (first === undefined) return [];
		const family = familyOf({ hostIp: first });
		// The relay leads from IPv6 to either family.
		const bySix = family === 6 && six !== undefined;
		const way = bySix || (family === 6 && !canRelay) ? six : four;
		if (!way && strict) {
			const text = `cannot publish on host address ${request.hostIp}: no network of the container leads outside by IPv${family}`;
			throw new EngineError("unsupported", text);
		}
		const relayed = family === 6 && !bySix && canRelay;
		if (relayed ? !way : !isTranslated(way, bySix ? 6 : 4)) return [];
		const address = bySix ? six.address6 : four?.address;
		return [{ ...request, hostIps, containerIp: address === undefined ? "" : formatIp(address) }];
	}

	/** As docker: by IPv6 too where the container has none, but for networks whose ports are bound to certain addresses. */
	private anyAddress({ four, six }: WaysOut, canRelay: boolean): string[] {
		const [settings, settings6] = [four?.network.settings, six?.network.settings];
		const own = isTranslated(four, 4) ? [settings?.hostBinding || "0.0.0.0"] : [];
		if (isTranslated(six, 6)) return [...own, settings6?.hostBinding6 || "::"];
		const everywhere = four !== undefined && (own.includes("0.0.0.0") || modeOf(four, 4) === "routed");
		const relayed = canRelay && everywhere && !six && this.host.hasIpv6();
		return relayed ? [...own, settings?.hostBinding6 || "::"] : own;
	}
}

function failed(error: unknown, containerName: string, way: Endpoint | undefined): EngineError {
	const code = error instanceof EngineError ? error.code : "internal";
	const endpoint = `${containerName} (${way?.settings.endpointId})`;
	const text = `driver failed programming external connectivity on endpoint ${endpoint}: ${messageOf(error)}`;
	return new EngineError(code, text, { cause: error });
}

function handOver(held: readonly HeldPort[]): void {
	for (const port of held) if (isRelayed(port)) port.handOver();
}

/** SCTP is the kernel's alone. */
function isRelayed(port: PublishedPort): boolean {
	return familyOf(port) === 6 && port.protocol !== "sctp";
}

function textOf({ hostAddress, hostPort, address, port, protocol }: RelayedPort): string {
	const inside = typeof address === "bigint" ? `[${formatIp(address)}]` : formatIp(address);
	return `[${formatIp(hostAddress)}]:${hostPort}:${inside}:${port}/${protocol}`;
}

/** Nothing can be published on an outbound network, and nothing need be on a macvlan one: it is on the wire itself. */
function usable(way: Endpoint | undefined): Endpoint | undefined {
	return way?.network.settings.outbound || way?.network.wire ? undefined : way;
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

/** Each to the way out of its family; what comes by IPv6 to one of the other where there is none of its own. */
function leadsOf(ports: readonly PublishedPort[], ways: WaysOut): Pick<Published, "forwards" | "relays"> {
	const relays = relaysOf(ports, ways);
	const passed = relays.map((relay): PortForward => ({ ...relay, relayed: true }));
	return { forwards: [...forwardsOf(ports, ways), ...passed], relays };
}

function relaysOf(ports: readonly PublishedPort[], { four, six }: WaysOut): RelayedPort[] {
	const address = isTranslated(six, 6) ? six.address6 : usable(four)?.address;
	return ports.flatMap(({ protocol, containerPort: port, hostIp, hostPort }) => {
		const hostAddress = parseIp(hostIp);
		if (hostPort === 0 || protocol === "sctp" || typeof hostAddress !== "bigint" || address === undefined) return [];
		return [{ protocol, hostAddress, hostPort, address, port }];
	});
}

/** Each to the way out of its family. */
function forwardsOf(ports: readonly PublishedPort[], { four, six }: WaysOut): PortForward[] {
	return ports.flatMap((port) => {
		const family = familyOf(port);
		const way = family === 6 ? six : four;
		const address = family === 6 ? way?.address6 : way?.address;
		const hostAddress = parseIp(port.hostIp);
		// Linux translates no loopback of IPv6: the relay has it.
		if (!way || address === undefined || hostAddress === undefined || hostAddress === 1n) return [];
		const { protocol, hostPort, containerPort } = port;
		const forward = { protocol, hostAddress, hostPort, address, port: containerPort };
		return [modeOf(way, family) === "routed" ? { ...forward, direct: true } : forward];
	});
}
