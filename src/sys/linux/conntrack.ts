import { type IpAddress, ipv6OfBytes } from "../../shared/ip.ts";
import { SyscallError } from "./libc.ts";
import {
	attribute,
	attributesOf,
	ipv4Of,
	joinBytes,
	NETLINK_NETFILTER,
	type NetlinkRequest,
	NetlinkSocket,
	view,
} from "./netlink.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO_UDP = 17;
/** NFNL_SUBSYS_CTNETLINK in the upper byte */
const CT_GET = 0x101;
const CT_DELETE = 0x102;
const NESTED = 0x8000;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ZONE = 18;
const CTA_FILTER = 25;
const CTA_FILTER_ORIG_FLAGS = 1;
/** Entries deleted by one datagram. */
const BATCH = 100;
/** Entries looked at before the clock is. */
const STEP = 32;
/** How long the thread is held at a time, ms. */
const SLICE_MS = 5;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V4_DST = 2;
const CTA_IP_V6_SRC = 3;
const CTA_IP_V6_DST = 4;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;
/** CTA_FILTER_F_CTA_PROTO_NUM | CTA_FILTER_F_CTA_PROTO_DST_PORT */
const BY_DESTINATION_PORT = (1 << 3) | (1 << 5);

/** A connection as the kernel tracks it: what the client sent to, and who answers. They differ where an address is translated. Ports are -1 where the protocol has none. */
export interface Flow {
	/** IPPROTO_* */
	readonly protocol: number;
	readonly source: IpAddress;
	readonly destination: IpAddress;
	readonly destinationPort: number;
	readonly replySource: IpAddress;
	readonly replySourcePort: number;
	/** Where the server sees the client. */
	readonly replyDestination: IpAddress;
}

/** Connection tracking of the namespace it is opened in. */
export class ConntrackSocket extends NetlinkSocket {
	constructor() {
		super(NETLINK_NETFILTER);
	}

	/** Forgets the UDP flows to this port that `stale` picks; their next packet goes through the NAT rules again. Returns how many. */
	forgetUdp(port: number, stale: (flow: Flow) => boolean, family: 4 | 6 = 4): number {
		// conntrack -D -p udp --orig-port-dst PORT
		const proto = joinBytes([
			attribute(CTA_PROTO_NUM, Uint8Array.of(IPPROTO_UDP)),
			attribute(CTA_PROTO_DST_PORT, Uint8Array.of(port >> 8, port & 255)),
		]);
		const body = joinBytes([
			header(family),
			attribute(CTA_TUPLE_ORIG | NESTED, attribute(CTA_TUPLE_PROTO | NESTED, proto)),
			// Linux before 5.8 passes over the filter and tells of every flow.
			attribute(CTA_FILTER | NESTED, attribute(CTA_FILTER_ORIG_FLAGS, BY_DESTINATION_PORT)),
		]);
		let forgotten = 0;
		for (const message of this.dump({ type: CT_GET, body, twin: `conntrack -L -p udp --orig-port-dst ${port}` })) {
			const attributes = attributesOf(message.body, 4);
			const flow = flowOf(attributes);
			if (flow?.protocol !== IPPROTO_UDP || flow.destinationPort !== port) continue;
			if (stale(flow) && this.forget(attributes, family)) forgotten++;
		}
		return forgotten;
	}

	/** Forgets the flows that `stale` picks, whatever their protocol and family. Returns how many. The kernel looks through its whole table: see forgetInSlices. */
	forgetFlows(stale: (flow: Flow) => boolean): number {
		let forgotten = 0;
		for (const step of this.forgetting(stale)) forgotten += step;
		return forgotten;
	}

	/**
	 * The same, in slices of a few ms between which the thread is given back: with 20,000 flows it takes a second in all. A table that is looked through in
	 * one slice is done when this returns. The socket is of no other use meanwhile.
	 */
	async forgetInSlices(stale: (flow: Flow) => boolean): Promise<number> {
		let [forgotten, began] = [0, performance.now()];
		for (const step of this.forgetting(stale)) {
			forgotten += step;
			if (performance.now() - began < SLICE_MS) continue;
			await new Promise((resolve) => setImmediate(resolve));
			began = performance.now();
		}
		return forgotten;
	}

	/** In steps, each with the number of flows that it forgot: first all are looked at, for the table shifts under a dump when entries go. */
	private *forgetting(stale: (flow: Flow) => boolean): Generator<number> {
		const chosen: NetlinkRequest[] = [];
		// conntrack -L; conntrack -L -f ipv6
		for (const part of this.dumpParts({ type: CT_GET, body: header(0), twin: "conntrack -L" })) {
			for (let at = 0; at < part.length; at += STEP) {
				for (const { body } of part.slice(at, at + STEP)) {
					const attributes = attributesOf(body, 4);
					const flow = flowOf(attributes);
					if (flow && stale(flow)) chosen.push(deletion(attributes, typeof flow.source === "bigint" ? 6 : 4));
				}
				yield 0;
			}
		}
		for (let at = 0; at < chosen.length; at += BATCH) {
			const batch = chosen.slice(at, at + BATCH);
			this.deleteAll(batch);
			yield batch.length;
		}
	}

	private deleteAll(requests: readonly NetlinkRequest[]): void {
		try {
			this.request(...requests);
		} catch (error) {
			// One has ended by itself.
			if (!(error instanceof SyscallError) || error.code !== "ENOENT") throw error;
		}
	}

	private forget(attributes: ReadonlyMap<number, Uint8Array>, family: 4 | 6): boolean {
		try {
			this.request(deletion(attributes, family));
			return true;
		} catch (error) {
			// It has ended by itself.
			if (error instanceof SyscallError && error.code === "ENOENT") return false;
			throw error;
		}
	}
}

function deletion(attributes: ReadonlyMap<number, Uint8Array>, family: 4 | 6): NetlinkRequest {
	const tuple = attributes.get(CTA_TUPLE_ORIG) ?? new Uint8Array();
	const zone = attributes.get(CTA_ZONE);
	const parts = [
		header(family),
		attribute(CTA_TUPLE_ORIG | NESTED, tuple),
		...(zone ? [attribute(CTA_ZONE, zone)] : []),
	];
	return { type: CT_DELETE, body: joinBytes(parts), twin: "conntrack -D" };
}

function flowOf(attributes: ReadonlyMap<number, Uint8Array>): Flow | undefined {
	const asked = tupleOf(attributes.get(CTA_TUPLE_ORIG));
	const reply = tupleOf(attributes.get(CTA_TUPLE_REPLY));
	if (!asked || !reply) return undefined;
	return {
		protocol: asked.protocol,
		source: asked.source,
		destination: asked.destination,
		destinationPort: asked.destinationPort,
		replySource: reply.source,
		replySourcePort: reply.sourcePort,
		replyDestination: reply.destination,
	};
}

function tupleOf(bytes: Uint8Array | undefined) {
	if (!bytes) return undefined;
	const parts = attributesOf(bytes, 0);
	const addresses = attributesOf(parts.get(CTA_TUPLE_IP) ?? new Uint8Array(), 0);
	const proto = attributesOf(parts.get(CTA_TUPLE_PROTO) ?? new Uint8Array(), 0);
	const source = ipv4Of(addresses, CTA_IP_V4_SRC) ?? ipv6Of(addresses, CTA_IP_V6_SRC);
	const destination = ipv4Of(addresses, CTA_IP_V4_DST) ?? ipv6Of(addresses, CTA_IP_V6_DST);
	const port = (type: number) => {
		const value = proto.get(type);
		return value?.length === 2 ? view(value).getUint16(0) : -1;
	};
	const protocol = proto.get(CTA_PROTO_NUM)?.[0];
	if (protocol === undefined || source === undefined || destination === undefined) return undefined;
	const [sourcePort, destinationPort] = [port(CTA_PROTO_SRC_PORT), port(CTA_PROTO_DST_PORT)];
	return { protocol, source, destination, sourcePort, destinationPort };
}

function ipv6Of(attributes: ReadonlyMap<number, Uint8Array>, type: number): bigint | undefined {
	const value = attributes.get(type);
	return value?.length === 16 ? ipv6OfBytes(value) : undefined;
}

/** struct nfgenmsg; 0: of both families */
function header(family: 0 | 4 | 6): Uint8Array {
	return Uint8Array.of(family === 6 ? AF_INET6 : family === 4 ? AF_INET : 0, 0, 0, 0);
}
