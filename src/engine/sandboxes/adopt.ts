import type { NetworkDriver } from "../../drivers/network/driver.ts";
import { messageOf } from "../../shared/errors.ts";
import { parseIpv4, parseIpv6 } from "../../shared/ip.ts";
import type { Logger } from "../../shared/log.ts";
import type { EndpointSettings } from "../containers/record.ts";
import type { LiveNetworks } from "../networks/live.ts";
import { type Endpoint, guardedEndpoint, type Wiring } from "./endpoints.ts";
import { hostLinkName } from "./prepared.ts";

interface Taking {
	readonly live: LiveNetworks;
	readonly driver: NetworkDriver;
	readonly firewall: Wiring["firewall"];
	readonly log: Logger;
}

/** Takes over an endpoint that outlived the last daemon; none where its network is gone. */
export function adoptEndpoint(
	{ live, driver, firewall, log }: Taking,
	containerId: string,
	sandboxId: string,
	settings: EndpointSettings,
): Endpoint[] {
	const network = live.bridge(settings.networkId);
	const address = parseIpv4(settings.ipAddress ?? "");
	const address6 = parseIpv6(settings.ipv6Address ?? "");
	if (!network || (address === undefined && address6 === undefined)) {
		log.warn("network of a running container is gone", { containerId, network: settings.networkName });
		return [];
	}
	const taken =
		(address !== undefined && network.leases?.take(address) === false) ||
		(address6 !== undefined && network.leases6?.take(address6) === false);
	if (taken) log.warn("address of a running container is taken", { containerId, address: settings.ipAddress });
	const { link = "eth0", hostLink = hostLinkName(sandboxId) } = settings;
	const own = { ...(address !== undefined && { address }), ...(address6 !== undefined && { address6 }) };
	const endpoint = guardedEndpoint({ network, ...own, settings: { ...settings, link, hostLink } });
	if (endpoint.guarded) firewall.guard([endpoint.guarded]);
	if (!network.wire) rejoin(driver, endpoint);
	return [endpoint];
}

/** Makes a bridge so again that others have taken away or changed, with the endpoints that were on it. false where it cannot be. */
export function repairBridge(
	{ live, driver, log }: Omit<Taking, "firewall">,
	bridge: string,
	endpoints: readonly Endpoint[],
): boolean {
	try {
		live.repair(bridge);
		const own = endpoints.filter(({ network }) => network.bridge === bridge && !network.wire);
		for (const endpoint of own) rejoin(driver, endpoint);
		log.warn("interface of a network was changed by others, made so again", { bridge, endpoints: own.length });
		return true;
	} catch (error) {
		log.error("cannot repair a network", { bridge, error: messageOf(error) });
		return false;
	}
}

function rejoin(driver: NetworkDriver, { network, settings }: Endpoint): void {
	driver.rejoin(network.bridge, settings.hostLink ?? "", !network.settings.icc);
}
