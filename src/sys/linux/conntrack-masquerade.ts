import { SyscallError } from "./libc.ts";
import { attribute, attributesOf, ipv4Of, joinBytes, NETLINK_NETFILTER, NetlinkSocket } from "./netlink.ts";

const AF_INET = 2;
const CT_GET = 0x101;
const CT_DELETE = 0x102;
const NESTED = 0x8000;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ZONE = 18;
const CTA_TUPLE_IP = 1;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V4_DST = 2;

/** A connection that left behind another address than its own. */
export interface MasqueradedFlow {
	readonly source: number;
	readonly destination: number;
	/** The address that the other side sees. */
	readonly behind: number;
}

/**
 * Forgets the masqueraded IPv4 flows that `stale` picks, whatever their protocol: the next packet is masqueraded anew, by the way it takes now. Opens
 * its socket in the calling thread's network namespace. Returns how many.
 */
export function forgetMasqueraded(stale: (flow: MasqueradedFlow) => boolean): number {
	using socket = new NetlinkSocket(NETLINK_NETFILTER);
	let forgotten = 0;
	// conntrack -L -n
	for (const message of socket.dump({ type: CT_GET, body: header(), twin: "conntrack -L" })) {
		const attributes = attributesOf(message.body, 4);
		const flow = flowOf(attributes);
		if (flow && flow.behind !== flow.source && stale(flow) && forget(socket, attributes)) forgotten++;
	}
	return forgotten;
}

function forget(socket: NetlinkSocket, attributes: ReadonlyMap<number, Uint8Array>): boolean {
	const tuple = attributes.get(CTA_TUPLE_ORIG) ?? new Uint8Array();
	const zone = attributes.get(CTA_ZONE);
	const parts = [header(), attribute(CTA_TUPLE_ORIG | NESTED, tuple), ...(zone ? [attribute(CTA_ZONE, zone)] : [])];
	try {
		socket.request({ type: CT_DELETE, body: joinBytes(parts), twin: "conntrack -D" });
		return true;
	} catch (error) {
		// It has ended by itself.
		if (error instanceof SyscallError && error.code === "ENOENT") return false;
		throw error;
	}
}

function flowOf(attributes: ReadonlyMap<number, Uint8Array>): MasqueradedFlow | undefined {
	const asked = addressesOf(attributes.get(CTA_TUPLE_ORIG));
	const reply = addressesOf(attributes.get(CTA_TUPLE_REPLY));
	return asked && reply && { source: asked.source, destination: asked.destination, behind: reply.destination };
}

function addressesOf(tuple: Uint8Array | undefined) {
	if (!tuple) return undefined;
	const addresses = attributesOf(attributesOf(tuple, 0).get(CTA_TUPLE_IP) ?? new Uint8Array(), 0);
	const [source, destination] = [ipv4Of(addresses, CTA_IP_V4_SRC), ipv4Of(addresses, CTA_IP_V4_DST)];
	return source === undefined || destination === undefined ? undefined : { source, destination };
}

/** struct nfgenmsg */
function header(): Uint8Array {
	return Uint8Array.of(AF_INET, 0, 0, 0);
}
