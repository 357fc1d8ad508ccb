import { formatIp, type IpAddress, ipBytes } from "../../shared/ip.ts";
import { SyscallError } from "./libc.ts";
import { attribute, attributesOf, joinBytes, numberOf, type RouteSocket } from "./netlink.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_IIF = 3;
const RTA_OIF = 4;

/** `ip route get DESTINATION from SOURCE iif INDEX`: the interface by which such a packet leaves, policy routing included; undefined when there is no way. Both addresses are of one family. */
export function wayOf(socket: RouteSocket, destination: IpAddress, source: IpAddress, iif: number): number | undefined {
	const [family, bits] = typeof destination === "bigint" ? [AF_INET6, 128] : [AF_INET, 32];
	const body = joinBytes([
		// struct rtmsg: family, dst_len, src_len
		Uint8Array.of(family, bits, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		attribute(RTA_DST, ipBytes(destination)),
		attribute(RTA_SRC, ipBytes(source)),
		attribute(RTA_IIF, iif),
	]);
	const twin = `ip route get ${formatIp(destination)} from ${formatIp(source)} iif ${iif}`;
	try {
		return numberOf(attributesOf(socket.ask({ type: RTM_GETROUTE, body, twin }).body, 12), RTA_OIF);
	} catch (error) {
		if (error instanceof SyscallError) return undefined;
		throw error;
	}
}
