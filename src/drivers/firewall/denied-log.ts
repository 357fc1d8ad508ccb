import { formatIpv4, formatIpv6, ipv6OfBytes } from "../../shared/ip.ts";
import { type LoggedPacket, PacketLog } from "../../sys/linux/nflog.ts";
import { logGroupOf } from "./policy-matches.ts";
import type { DeniedPacket, Direction } from "./policy-model.ts";

/** By number; ICMP of both families is one to policies. */
export const PROTOCOLS: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmp", 132: "sctp" };

/** Tells of the packets that this instance's policies deny, as long as it is not disposed of: an event each, at most 20 a second per rule. */
export function openDeniedLog(instance: string, onPacket: (packet: DeniedPacket) => void): Disposable {
	return new PacketLog(logGroupOf(instance), (logged) => {
		const packet = deniedPacketOf(logged);
		if (packet) onPacket(packet);
	});
}

/** undefined for what is no IP packet of a rule of ours. */
export function deniedPacketOf({ prefix, payload }: LoggedPacket): DeniedPacket | undefined {
	const [policy, rule, direction] = prefix.split(" ");
	if (!policy || !rule || !isDirection(direction)) return undefined;
	const header = (payload[0] ?? 0) >> 4 === 6 ? header6Of(payload) : header4Of(payload);
	if (!header) return undefined;
	const { protocol: number, ports, ...ends } = header;
	const protocol = PROTOCOLS[number] ?? String(number);
	const port = protocol in PORTED && ports !== undefined ? view(payload, ports, 4)?.getUint16(2) : undefined;
	return {
		policy,
		rule: isDirection(rule) ? rule : Number(rule),
		direction,
		...ends,
		protocol,
		...(port !== undefined && { port }),
	};
}

interface Header {
	readonly source: string;
	readonly destination: string;
	readonly protocol: number;
	/** Where the ports are; undefined in a fragment other than the first. */
	readonly ports?: number;
}

function header4Of(payload: Uint8Array): Header | undefined {
	const [first = 0] = payload;
	const fields = view(payload, 0, 20);
	if (first >> 4 !== 4 || !fields) return undefined;
	const isFirst = (fields.getUint16(6) & 0x1fff) === 0;
	return {
		source: formatIpv4(fields.getUint32(12)),
		destination: formatIpv4(fields.getUint32(16)),
		protocol: fields.getUint8(9),
		...(isFirst && { ports: (first & 15) * 4 }),
	};
}

/** Hop-by-hop, routing, destination options: next header, and length in units of 8 bytes less one (RFC 8200 4). */
const EXTENSIONS = [0, 43, 60];
const FRAGMENT = 44;

function header6Of(payload: Uint8Array): Header | undefined {
	const fields = view(payload, 0, 40);
	if (!fields) return undefined;
	let protocol = fields.getUint8(6);
	let at = 40;
	let isFirst = true;
	while (EXTENSIONS.includes(protocol) || protocol === FRAGMENT) {
		const extension = view(payload, at, 8);
		if (!extension) break;
		if (protocol === FRAGMENT) isFirst &&= extension.getUint16(2) >> 3 === 0;
		at += protocol === FRAGMENT ? 8 : (extension.getUint8(1) + 1) * 8;
		protocol = extension.getUint8(0);
	}
	const address = (from: number) => formatIpv6(ipv6OfBytes(payload.subarray(from, from + 16)));
	return { source: address(8), destination: address(24), protocol, ...(isFirst && { ports: at }) };
}

/** undefined where the packet is not as long. */
function view(payload: Uint8Array, at: number, length: number): DataView | undefined {
	if (payload.length < at + length) return undefined;
	return new DataView(payload.buffer, payload.byteOffset + at, length);
}

const PORTED: Readonly<Record<string, true>> = { tcp: true, udp: true, sctp: true };

function isDirection(text: string | undefined): text is Direction {
	return text === "egress" || text === "ingress";
}
