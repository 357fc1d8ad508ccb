import { ptr } from "bun:ffi";
import { check, libc } from "../libc.ts";

const AF_INET6 = 10;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const IPPROTO_IPV6 = 41;
const IPPROTO_ICMPV6 = 58;
const IPV6_MULTICAST_IF = 17;
const IPV6_MULTICAST_HOPS = 18;
const ROUTER_ADVERTISEMENT = 134;

/** Says on the wire of an interface in the calling thread's namespace that the way out leads here (RFC 4861, 4.2). False while it has no address to say so from. */
export function advertiseRouter(interfaceIndex: number, lifetimeSeconds = 1800): boolean {
	const fd = check(libc.socket(AF_INET6, SOCK_RAW_CLOEXEC, IPPROTO_ICMPV6), "socket ICMPv6");
	try {
		for (const [option, value] of [
			[IPV6_MULTICAST_IF, interfaceIndex],
			[IPV6_MULTICAST_HOPS, 255],
		] as const) {
			check(libc.setsockopt(fd, IPPROTO_IPV6, option, ptr(new Int32Array([value])), 4), "setsockopt IPPROTO_IPV6");
		}
		// Type, code, checksum (the kernel's to fill), hop limit, flags, lifetime, reachable and retransmission time
		const message = Uint8Array.from([
			ROUTER_ADVERTISEMENT,
			0,
			0,
			0,
			64,
			0,
			lifetimeSeconds >> 8,
			lifetimeSeconds & 255,
		]);
		const packet = new Uint8Array(16);
		packet.set(message);
		// struct sockaddr_in6 of ff02::1, all nodes
		const address = new Uint8Array(28);
		new DataView(address.buffer).setUint16(0, AF_INET6, true);
		address.set([0xff, 2], 8);
		address[23] = 1;
		return libc.sendto(fd, ptr(packet), BigInt(packet.length), 0, ptr(address), address.length) > 0n;
	} finally {
		libc.close(fd);
	}
}
