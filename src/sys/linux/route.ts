import { formatIp, type IpAddress, ipBytes } from "../../shared/ip.ts";
import {
	attribute,
	attributesOf,
	ipv4Of,
	joinBytes,
	type NetlinkRequest,
	NLM_F_CREATE,
	NLM_F_EXCL,
	NLM_F_REPLACE,
	numberOf,
	type RouteSocket,
} from "./netlink.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTN_UNICAST = 1;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RT_SCOPE_LINK = 253;

/** `ip route add default via GATEWAY dev INDEX`; with `replace` an older one gives way. Gateway 0 or 0n: straight out, without `via`. */
export function addDefaultRoute(index: number, gateway: IpAddress, replace = false): NetlinkRequest {
	const straight = gateway === 0 || gateway === 0n;
	const scope = straight ? RT_SCOPE_LINK : 0;
	return {
		type: RTM_NEWROUTE,
		flags: NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL),
		body: joinBytes([
			// struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
			Uint8Array.of(familyOf(gateway), 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST, 0, 0, 0, 0),
			...(straight ? [] : [attribute(RTA_GATEWAY, ipBytes(gateway))]),
			attribute(RTA_OIF, index),
		]),
		twin: `ip route add default via ${formatIp(gateway)} dev ${index}`,
	};
}

function familyOf(address: IpAddress): number {
	return typeof address === "bigint" ? AF_INET6 : AF_INET;
}

/** `ip route del default`, or `ip -6`: ESRCH when there is none. */
export function deleteDefaultRoute(family: 4 | 6 = 4): NetlinkRequest {
	const RT_SCOPE_NOWHERE = 255;
	const body = Uint8Array.of(
		family === 6 ? AF_INET6 : AF_INET,
		0,
		0,
		0,
		RT_TABLE_MAIN,
		0,
		RT_SCOPE_NOWHERE,
		0,
		0,
		0,
		0,
		0,
	);
	return { type: RTM_DELROUTE, body, twin: "ip route del default" };
}

/** Destinations of every IPv4 unicast route in every table (VPNs keep theirs in tables of their own), default routes left out. */
export function listRoutes(socket: RouteSocket): { index?: number; base: number; prefixLength: number }[] {
	// ip -4 route show table all type unicast
	const header = new Uint8Array(12);
	header[0] = AF_INET;
	// Each address of the host has several local ones.
	header[7] = RTN_UNICAST;
	return socket.dump({ type: RTM_GETROUTE, body: header, twin: "ip route show" }, true).flatMap(({ body }) => {
		const attributes = attributesOf(body, 12);
		const base = ipv4Of(attributes, RTA_DST);
		if (body[0] !== AF_INET || body[7] !== RTN_UNICAST || base === undefined) return [];
		return [{ index: numberOf(attributes, RTA_OIF), base, prefixLength: body[1] ?? 32 }];
	});
}
