import { contains, contains6, parseCidr, parseCidr6 } from "../shared/cidr.ts";
import { messageOf } from "../shared/errors.ts";
import type { IpAddress } from "../shared/ip.ts";
import type { Logger } from "../shared/log.ts";
import { listAddresses, listAddresses6 } from "../sys/linux/address.ts";
import { forgetMasqueraded } from "../sys/linux/conntrack-masquerade.ts";
import { listLinks } from "../sys/linux/link.ts";
import { RouteSocket } from "../sys/linux/netlink.ts";
import { wayOf } from "../sys/linux/route-lookup.ts";
import { RouteWatch } from "../sys/linux/route-watch.ts";

/** A VPN that comes up sets several routes and rules: how long they must rest, ms. */
const SETTLE_MS = 200;

/** A bridge whose sandboxes leave behind the host's address. */
export interface MasqueradedNetwork {
	readonly bridge: string;
	/** 172.17.0.0/16, fd00:1::/64 */
	readonly subnet: string;
}

/**
 * Follows the host's way out. New connections follow by themselves, for masquerading goes by the interface that a packet leaves by; those that began
 * before keep the old address, which leads nowhere by the new way. They are forgotten: datagrams go on at once, TCP is reset by the other side and the
 * program connects anew, instead of waiting for minutes.
 */
export function watchWayOut(
	networks: () => readonly MasqueradedNetwork[],
	log: Logger,
	settleMs = SETTLE_MS,
): Disposable {
	let timer: ReturnType<typeof setTimeout> | undefined;
	const settle = () => {
		try {
			log.info("the host's way out changed", { flowsForgotten: forgetStale(networks()) });
		} catch (error) {
			log.warn("old flows not forgotten after a change of the host's way out", { error: messageOf(error) });
		}
	};
	const watch = new RouteWatch(() => {
		clearTimeout(timer);
		timer = setTimeout(settle, settleMs);
		timer.unref();
	});
	return {
		[Symbol.dispose]() {
			clearTimeout(timer);
			watch[Symbol.dispose]();
		},
	};
}

/** Forgets the flows from these networks that are behind an address which the interface they would leave by now has not. Returns how many. */
export function forgetStale(networks: readonly MasqueradedNetwork[]): number {
	using socket = new RouteSocket();
	const links = new Map(listLinks(socket).map(({ name, index }) => [name, index]));
	const addresses = [...listAddresses(socket), ...listAddresses6(socket)];
	const known = networks.flatMap(({ bridge, subnet }) => {
		const index = links.get(bridge);
		return index === undefined ? [] : [{ holds: holderOf(subnet), index }];
	});
	const ways = new Map<string, number | undefined>();
	const way = (destination: IpAddress, source: IpAddress, iif: number) => {
		const key = `${destination} ${source}`;
		if (!ways.has(key)) ways.set(key, wayOf(socket, destination, source, iif));
		return ways.get(key);
	};
	return forgetMasqueraded(({ source, destination, behind }) => {
		const network = known.find(({ holds }) => holds(source));
		if (!network) return false;
		const out = way(destination, source, network.index);
		return out !== undefined && !addresses.some(({ index, address }) => index === out && address === behind);
	});
}

function holderOf(subnet: string): (address: IpAddress) => boolean {
	const [four, six] = [parseCidr(subnet), parseCidr6(subnet)];
	return (address) =>
		typeof address === "bigint"
			? six !== undefined && contains6(six, address)
			: four !== undefined && contains(four, address);
}
