import {
	formatIp,
	formatIpv4,
	formatIpv6,
	type IpAddress,
	ipv4Bytes,
	ipv6Bytes,
	ipv6OfBytes,
} from "../../shared/ip.ts";
import {
	attribute,
	attributesOf,
	ipv4Of,
	joinBytes,
	type NetlinkRequest,
	NLM_F_CREATE,
	NLM_F_REPLACE,
	type RouteSocket,
	view,
} from "./netlink.ts";

const AF_INET = 2;
const AF_INET6 = 10;
/** No duplicate address detection: usable at once. */
const IFA_F_NODAD = 2;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;

/** `ip addr replace ADDRESS/PREFIX broadcast BROADCAST dev INDEX`; a /31 and a /32 have no broadcast address (RFC 3021). */
export function addAddress(index: number, address: number, prefixLength: number): NetlinkRequest {
	const size = 2 ** (32 - prefixLength);
	const broadcast = address - (address % size) + size - 1;
	return {
		type: RTM_NEWADDR,
		flags: NLM_F_CREATE | NLM_F_REPLACE,
		body: joinBytes([
			addressHeader(prefixLength, index),
			attribute(IFA_LOCAL, ipv4Bytes(address)),
			attribute(IFA_ADDRESS, ipv4Bytes(address)),
			...(prefixLength < 31 ? [attribute(IFA_BROADCAST, ipv4Bytes(broadcast))] : []),
		]),
		twin: `ip addr replace ${formatIpv4(address)}/${prefixLength} dev ${index}`,
	};
}

/** `ip addr replace ADDRESS/PREFIX dev INDEX nodad`: without the second that the kernel else takes to see whether another has the address. */
export function addAddress6(index: number, address: bigint, prefixLength: number): NetlinkRequest {
	return {
		type: RTM_NEWADDR,
		flags: NLM_F_CREATE | NLM_F_REPLACE,
		body: joinBytes([
			// struct ifaddrmsg: family, prefixlen, flags, scope, index
			Uint8Array.of(AF_INET6, prefixLength, IFA_F_NODAD, 0),
			new Uint8Array(Uint32Array.of(index).buffer),
			attribute(IFA_LOCAL, ipv6Bytes(address)),
			attribute(IFA_ADDRESS, ipv6Bytes(address)),
		]),
		twin: `ip addr replace ${formatIpv6(address)}/${prefixLength} dev ${index} nodad`,
	};
}

/** `ip addr del ADDRESS/PREFIX dev INDEX`, of either family; the routes that it brought go too. */
export function deleteAddress(index: number, address: IpAddress, prefixLength: number): NetlinkRequest {
	const isV6 = typeof address === "bigint";
	return {
		type: RTM_DELADDR,
		body: joinBytes([
			Uint8Array.of(isV6 ? AF_INET6 : AF_INET, prefixLength, 0, 0),
			new Uint8Array(Uint32Array.of(index).buffer),
			attribute(IFA_LOCAL, isV6 ? ipv6Bytes(address) : ipv4Bytes(address)),
		]),
		twin: `ip addr del ${formatIp(address)}/${prefixLength} dev ${index}`,
	};
}

/** The IPv4 addresses of the socket's namespace. */
export function listAddresses(socket: RouteSocket): { index: number; address: number; prefixLength: number }[] {
	// ip -4 addr show
	return socket.dump({ type: RTM_GETADDR, body: addressHeader(0, 0), twin: "ip addr show" }).flatMap(({ body }) => {
		const attributes = attributesOf(body, 8);
		const address = ipv4Of(attributes, IFA_LOCAL) ?? ipv4Of(attributes, IFA_ADDRESS);
		if (body[0] !== AF_INET || address === undefined) return [];
		return [{ index: view(body).getUint32(4, true), address, prefixLength: body[1] ?? 32 }];
	});
}

/** The same of IPv6. */
export function listAddresses6(socket: RouteSocket): { index: number; address: bigint; prefixLength: number }[] {
	// ip -6 addr show
	const body = addressHeader(0, 0, AF_INET6);
	return socket.dump({ type: RTM_GETADDR, body, twin: "ip -6 addr show" }).flatMap(({ body: found }) => {
		const attributes = attributesOf(found, 8);
		const value = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
		if (found[0] !== AF_INET6 || value?.length !== 16) return [];
		const index = view(found).getUint32(4, true);
		return [{ index, address: ipv6OfBytes(value), prefixLength: found[1] ?? 128 }];
	});
}

/** struct ifaddrmsg */
function addressHeader(prefixLength: number, index: number, family = AF_INET): Uint8Array {
	return joinBytes([Uint8Array.of(family, prefixLength, 0, 0), new Uint8Array(Uint32Array.of(index).buffer)]);
}
