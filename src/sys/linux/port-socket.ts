import { ptr } from "bun:ffi";
import { type IpAddress, ipBytes } from "../../shared/ip.ts";
import { check, libc } from "./libc.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO_IPV6 = 41;
const IPPROTO_SCTP = 132;
const IPV6_V6ONLY = 26;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;

/** Takes a port as a server would, so that no other program can: bind, and listen for TCP by IPv4 and for SCTP; of `::` the IPv6 half alone. Returns the fd, which the caller closes. Throws SyscallError EADDRINUSE, EADDRNOTAVAIL, EACCES, EPROTONOSUPPORT where the kernel has no SCTP. */
export function bindPort(protocol: "tcp" | "udp" | "sctp", address: IpAddress, port: number): number {
	const type = protocol === "udp" ? SOCK_DGRAM : SOCK_STREAM;
	const family = typeof address === "bigint" ? AF_INET6 : AF_INET;
	const fd = check(
		libc.socket(family, type | SOCK_CLOEXEC, protocol === "sctp" ? IPPROTO_SCTP : 0),
		`socket ${protocol}`,
	);
	try {
		const on = new Uint8Array(Int32Array.of(1).buffer);
		if (family === AF_INET6) check(libc.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, ptr(on), 4), "setsockopt V6ONLY");
		// As servers do: what is left of connections that have ended must not keep the port.
		if (protocol !== "udp") check(libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, ptr(on), 4), "setsockopt REUSEADDR");
		const name = socketName(address, port);
		check(libc.bind(fd, ptr(name), name.length), "bind");
		// A port of IPv6 is only tried here: the relay is about to listen.
		if (protocol === "sctp" || (protocol === "tcp" && family === AF_INET)) check(libc.listen(fd, 1), "listen");
		return fd;
	} catch (error) {
		libc.close(fd);
		throw error;
	}
}

/** struct sockaddr_in or sockaddr_in6: family in host order, port and address in network order. */
function socketName(address: IpAddress, port: number): Uint8Array {
	const isIpv6 = typeof address === "bigint";
	const name = new Uint8Array(isIpv6 ? 28 : 16);
	name[0] = isIpv6 ? AF_INET6 : AF_INET;
	name.set([port >> 8, port & 255], 2);
	name.set(ipBytes(address), isIpv6 ? 8 : 4);
	return name;
}

export function closePort(fd: number): void {
	libc.close(fd);
}
