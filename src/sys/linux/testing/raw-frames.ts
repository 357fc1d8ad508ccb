import { ptr } from "bun:ffi";
import { type IpAddress, ipBytes, parseIp, parseIpv6 } from "../../../shared/ip.ts";
import { macBytes } from "../../../shared/mac.ts";
import { check, libc } from "../libc.ts";
import { findLink } from "../link.ts";
import { RouteSocket } from "../netlink.ts";
import { withNetns } from "../netns.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
export const BROADCAST = "ff:ff:ff:ff:ff:ff";
/** All nodes, ff02::1, on the wire. */
export const ALL_NODES = "33:33:00:00:00:01";

/** Sends a frame as it is, as a container may that has NET_RAW: docker's default. */
export function sendFrame(path: string, link: string, frame: Uint8Array): void {
	withNetns(path, () => {
		using routes = new RouteSocket();
		const fd = check(libc.socket(AF_PACKET, SOCK_RAW, 0), "socket AF_PACKET");
		try {
			// struct sockaddr_ll: family, protocol, interface
			const to = new Uint8Array(20);
			const fields = new DataView(to.buffer);
			fields.setUint16(0, AF_PACKET, true);
			fields.setInt32(4, findLink(routes, link)?.index ?? 0, true);
			check(libc.sendto(fd, ptr(frame), frame.length, 0, ptr(to), to.length), "send frame");
		} finally {
			libc.close(fd);
		}
	});
}

/** Tags of VLANs before the protocol: `[0x8100, 0]` is one of VLAN 0, which is none. */
export function ethernet(
	to: string,
	from: string,
	protocol: number,
	payload: Uint8Array,
	tags: readonly (readonly [number, number])[] = [],
): Uint8Array {
	const tagged = tags.flatMap(([type, id]) => [...two(type), ...two(id)]);
	return Uint8Array.from([...macBytes(to), ...macBytes(from), ...tagged, ...two(protocol), ...payload]);
}

/** `operation` 1: who has `target`?, 2: an answer. `hardware` 1 is Ethernet; Linux takes 6 for it too. */
export function arp(
	sender: { mac: string; address: string },
	target: { mac: string; address: string },
	operation: 1 | 2,
	hardware = 1,
): Uint8Array {
	const end = ({ mac, address }: { mac: string; address: string }) => [...macBytes(mac), ...bytesOf(address)];
	return Uint8Array.from([...two(hardware), ...two(0x0800), 6, 4, ...two(operation), ...end(sender), ...end(target)]);
}

export function udp4(source: string, destination: string, port: number, text: string, from = 4242): Uint8Array {
	const data = Buffer.from(text);
	const length = 28 + data.length;
	const header = [0x45, 0, ...two(length), 0, 0, 0, 0, 64, 17, 0, 0, ...bytesOf(source), ...bytesOf(destination)];
	header.splice(10, 2, ...two(checksum(header)));
	// Without a checksum of its own: that is allowed in IPv4.
	return Uint8Array.from([...header, ...two(from), ...two(port), ...two(8 + data.length), 0, 0, ...data]);
}

export function udp6(source: string, destination: string, port: number, text: string): Uint8Array {
	const data = [...Buffer.from(text)];
	const datagram = [...two(4242), ...two(port), ...two(8 + data.length), 0, 0, ...data];
	return ip6(source, destination, 17, datagram, 6);
}

/** ICMPv6 of any kind; `hopByHop`: behind options that say nothing. */
export function icmp6(source: string, destination: string, message: readonly number[], hopByHop = false): Uint8Array {
	return ip6(source, destination, 58, [...message], 2, hopByHop);
}

/** "I have `target`, and this MAC": overriding what was known. */
export function neighbourAdvert(target: string, mac: string): number[] {
	return [136, 0, 0, 0, 0x60, 0, 0, 0, ...bytesOf(target), 2, 1, ...macBytes(mac)];
}

/** "I am a router, for half an hour; this prefix is here", RFC 4861 4.2. */
export function routerAdvert(mac: string, prefix: string): number[] {
	const information = [3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0, ...bytesOf(prefix)];
	return [134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, ...macBytes(mac), ...information];
}

function ip6(
	source: string,
	destination: string,
	protocol: number,
	payload: number[],
	sumAt: number,
	hopByHop = false,
): Uint8Array {
	const ends = [...bytesOf(source), ...bytesOf(destination)];
	payload.splice(sumAt, 2, ...two(checksum([...ends, 0, 0, ...two(payload.length), 0, 0, 0, protocol, ...payload])));
	const options = hopByHop ? [protocol, 0, 1, 4, 0, 0, 0, 0] : [];
	const length = options.length + payload.length;
	return Uint8Array.from([
		0x60,
		0,
		0,
		0,
		...two(length),
		hopByHop ? 0 : protocol,
		255,
		...ends,
		...options,
		...payload,
	]);
}

function bytesOf(text: string): Uint8Array {
	return ipBytes(parseIp(text) ?? parseIpv6(text) ?? (0 as IpAddress));
}

function two(value: number): [number, number] {
	return [value >> 8, value & 255];
}

/** RFC 1071. */
function checksum(bytes: readonly number[]): number {
	let sum = 0;
	for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
	while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
	return ~sum & 0xffff;
}
