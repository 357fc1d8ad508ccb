import { formatIpv4, ipv4Bytes } from "../../shared/ip.ts";
import { SyscallError } from "./libc.ts";
import { attribute, attributesOf, joinBytes, numberOf, type RouteSocket } from "./netlink.ts";

const AF_INET = 2;
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_IIF = 3;
const RTA_OIF = 4;

/** `ip route get DESTINATION from SOURCE iif INDEX`: the interface by which such a packet leaves, policy routing included; undefined when there is no way. */
export function wayOf(socket: RouteSocket, destination: number, source: number, iif: number): number | undefined {
	const body = joinBytes([
		// struct rtmsg: family, dst_len, src_len
		Uint8Array.of(AF_INET, 32, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		attribute(RTA_DST, ipv4Bytes(destination)),
		attribute(RTA_SRC, ipv4Bytes(source)),
		attribute(RTA_IIF, iif),
	]);
	const twin = `ip route get ${formatIpv4(destination)} from ${formatIpv4(source)} iif ${iif}`;
	try {
		return numberOf(attributesOf(socket.ask({ type: RTM_GETROUTE, body, twin }).body, 12), RTA_OIF);
	} catch (error) {
		if (error instanceof SyscallError) return undefined;
		throw error;
	}
}
