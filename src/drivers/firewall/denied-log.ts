import { formatIpv4 } from "../../shared/ip.ts";
import { type LoggedPacket, PacketLog } from "../../sys/linux/nflog.ts";
import type { DeniedPacket, Direction } from "./policy-model.ts";
import { logGroupOf } from "./policy-rules.ts";

const PROTOCOLS: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 132: "sctp" };

/** Tells of the packets that this instance's policies deny, as long as it is not disposed of: an event each, at most 20 a second per rule. */
export function openDeniedLog(instance: string, onPacket: (packet: DeniedPacket) => void): Disposable {
	return new PacketLog(logGroupOf(instance), (logged) => {
		const packet = deniedPacketOf(logged);
		if (packet) onPacket(packet);
	});
}

/** undefined for what is no IPv4 packet of a rule of ours. */
export function deniedPacketOf({ prefix, payload }: LoggedPacket): DeniedPacket | undefined {
	const [policy, rule, direction] = prefix.split(" ");
	const first = payload[0] ?? 0;
	if (!policy || !rule || !isDirection(direction) || first >> 4 !== 4 || payload.length < 20) return undefined;
	const fields = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
	const number = fields.getUint8(9);
	const protocol = PROTOCOLS[number] ?? String(number);
	const ports = (first & 15) * 4;
	// The first fragment alone has ports.
	const hasPort = protocol !== "icmp" && protocol in PORTED && payload.length >= ports + 4;
	return {
		policy,
		rule: isDirection(rule) ? rule : Number(rule),
		direction,
		source: formatIpv4(fields.getUint32(12)),
		destination: formatIpv4(fields.getUint32(16)),
		protocol,
		...(hasPort && (fields.getUint16(6) & 0x1fff) === 0 && { port: fields.getUint16(ports + 2) }),
	};
}

const PORTED: Readonly<Record<string, true>> = { tcp: true, udp: true, sctp: true };

function isDirection(text: string | undefined): text is Direction {
	return text === "egress" || text === "ingress";
}
