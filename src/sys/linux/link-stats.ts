import { attributesOf, numberOf, type RouteSocket, textOf, view } from "./netlink.ts";

const RTM_GETLINK = 18;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_IFALIAS = 20;
const IFLA_STATS64 = 23;
const IFF_UP = 1;

/** An interface with its counters, seen from the interface: a bridge port receives what its sandbox sends. */
export interface LinkStats {
	readonly index: number;
	readonly name: string;
	readonly alias: string;
	readonly up: boolean;
	readonly mtu: number;
	/** index of the bridge it is a port of */
	readonly master?: number;
	readonly rxPackets: number;
	readonly txPackets: number;
	readonly rxBytes: number;
	readonly txBytes: number;
	readonly errors: number;
	readonly dropped: number;
}

/** `ip -s link show`, of the socket's namespace. */
export function listLinkStats(socket: RouteSocket): LinkStats[] {
	return socket.dump({ type: RTM_GETLINK, body: new Uint8Array(16), twin: "ip -s link show" }).map(({ body }) => {
		const attributes = attributesOf(body, 16);
		const counters = attributes.get(IFLA_STATS64);
		const counter = (at: number) => (counters ? Number(view(counters).getBigUint64(at * 8, true)) : 0);
		const master = numberOf(attributes, IFLA_MASTER);
		return {
			index: view(body).getInt32(4, true),
			name: textOf(attributes.get(IFLA_IFNAME)),
			alias: textOf(attributes.get(IFLA_IFALIAS)),
			up: (view(body).getUint32(8, true) & IFF_UP) !== 0,
			mtu: numberOf(attributes, IFLA_MTU) ?? 0,
			...(master !== undefined && { master }),
			// struct rtnl_link_stats64
			rxPackets: counter(0),
			txPackets: counter(1),
			rxBytes: counter(2),
			txBytes: counter(3),
			errors: counter(4) + counter(5),
			dropped: counter(6) + counter(7),
		};
	});
}
