import { formatIp, type IpAddress, parseIp } from "../../shared/ip.ts";
import { RELAY_SOURCE } from "../../shared/relay-source.ts";
import { listAddresses, listAddresses6 } from "../../sys/linux/address.ts";
import type { ConntrackSocket, Flow } from "../../sys/linux/conntrack.ts";
import { RouteSocket } from "../../sys/linux/netlink.ts";
import { PROTOCOLS } from "./denied-log.ts";
import type { FlowEnds } from "./policy-model.ts";

const RELAY = parseIp(RELAY_SOURCE);

/**
 * Forgets the flows from or to these addresses that are denied. What comes next of them belongs to no known connection, and the rules judge it anew: see
 * `back` in policy-rules.ts, without which the other end's segments would bring a TCP connection back to life. Returns how many there were. See
 * ConntrackSocket.forgetInSlices: few are done when this returns.
 */
export function endFlows(
	socket: ConntrackSocket,
	addresses: ReadonlySet<string>,
	isDenied: (flow: FlowEnds) => boolean,
): Promise<number> {
	const own = new Set([...addresses].map(parseIp));
	const local = hostAddresses();
	const isOurs = ({ source, replySource }: Flow) => own.has(source) || own.has(replySource);
	return socket.forgetInSlices((flow) => isOurs(flow) && isDenied(endsOf(flow, local)));
}

/** By its real ends: the client before it is masqueraded, the server that a published port leads to. */
function endsOf(
	{ source, replySource, replySourcePort: port, protocol }: Flow,
	local: ReadonlySet<IpAddress>,
): FlowEnds {
	const isHost = (address: IpAddress) => address !== RELAY && (local.has(address) || isLoopback(address));
	return {
		client: formatIp(source),
		server: formatIp(replySource),
		clientIsHost: isHost(source),
		serverIsHost: isHost(replySource),
		protocol: PROTOCOLS[protocol] ?? String(protocol),
		...(port >= 0 && { port }),
	};
}

function isLoopback(address: IpAddress): boolean {
	return typeof address === "bigint" ? address === 1n : address >>> 24 === 127;
}

function hostAddresses(): ReadonlySet<IpAddress> {
	using socket = new RouteSocket();
	return new Set<IpAddress>([...listAddresses(socket), ...listAddresses6(socket)].map(({ address }) => address));
}
