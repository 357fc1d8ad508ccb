import { randomInt } from "node:crypto";
import type { IpAddress } from "../../shared/ip.ts";
import { SyscallError } from "./libc.ts";
import { ProbeSocket, uint16 } from "./probe-socket.ts";

const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
/** What is different with IPv6: protocol, its messages' types, and the names of its options. */
interface Kind {
	readonly family: 4 | 6;
	readonly protocol: number;
	readonly request: number;
	readonly reply: number;
	/** Level and numbers of MTU_DISCOVER and MTU. */
	readonly options: { readonly level: number; readonly discover: number; readonly mtu: number };
	/** IP header, bytes. */
	readonly header: number;
}

const IPV4: Kind = {
	...{ family: 4, protocol: 1, request: 8, reply: 0, header: 20 },
	options: { level: 0, discover: 10, mtu: 14 },
};
const IPV6: Kind = {
	...{ family: 6, protocol: 58, request: 128, reply: 129, header: 40 },
	options: { level: 41, discover: 23, mtu: 24 },
};
/** IP_PMTUDISC_DO, IPV6_PMTUDISC_DO */
const NEVER_FRAGMENT = 2;
const ECHO_HEADER = 8;

/** An answer, or the errno's name: EAGAIN for none in time. */
export type Echo = { readonly ms: number } | { readonly error: string };

/** `ping -c 1 -M do -s SIZE-28 ADDRESS`: one echo of so many bytes on the wire, never fragmented. */
export function ping(address: IpAddress, timeoutMs: number, bytes = 84): Echo & { readonly mtu?: number } {
	const kind = kindOf(address);
	const { level, discover, mtu } = kind.options;
	using socket = open(kind, timeoutMs);
	const begin = performance.now();
	try {
		socket.connect(address, 0);
		socket.option(level, discover, NEVER_FRAGMENT);
		const id = randomInt(0x10000);
		socket.send(echoRequest(kind, id, Math.max(ECHO_HEADER, bytes - kind.header)));
		for (;;) {
			if (isReply(kind, socket.receive(), socket.isRaw ? id : undefined)) return { ms: performance.now() - begin };
			socket.setTimeout(timeoutMs - (performance.now() - begin));
		}
	} catch (error) {
		if (!(error instanceof SyscallError)) throw error;
		if (error.code !== "EMSGSIZE") return { error: error.code };
		return { error: error.code, mtu: socket.readOption(level, mtu) };
	}
}

function kindOf(address: IpAddress): Kind {
	return typeof address === "bigint" ? IPV6 : IPV4;
}

/** The kernel hands a ping socket the replies to its own echoes only. Where it allows nobody one (net.ipv4.ping_group_range), a raw socket sees them all. */
function open({ family, protocol }: Kind, timeoutMs: number): ProbeSocket & { isRaw: boolean } {
	try {
		const socket = new ProbeSocket({ type: SOCK_DGRAM, protocol, family }, timeoutMs);
		return Object.assign(socket, { isRaw: false });
	} catch (error) {
		if (!(error instanceof SyscallError) || error.code !== "EACCES") throw error;
		return Object.assign(new ProbeSocket({ type: SOCK_RAW, protocol, family }, timeoutMs), { isRaw: true });
	}
}

/** The checksum of IPv6 is of addresses too: the kernel makes it. */
function echoRequest({ family, request: type }: Kind, id: number, length: number): Uint8Array {
	const request = new Uint8Array(length);
	request.set([type, 0, 0, 0, id >> 8, id & 255, 0, 1]);
	if (family === 6) return request;
	// Ones' complement sum of the words, the rest of which are zero.
	let sum = (type << 8) + id + 1;
	sum = ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
	request.set([sum >> 8, sum & 255], 2);
	return request;
}

/** A raw socket's datagrams begin with the IP header, those of IPv6 do not. */
function isReply({ family, reply }: Kind, bytes: Uint8Array, id: number | undefined): boolean {
	if (id === undefined) return true;
	const at = family === 6 ? 0 : ((bytes[0] ?? 0) & 15) * 4;
	return bytes[at] === reply && uint16(bytes, at + 4) === id;
}

/**
 * The largest packet that gets to the address whole: `tracepath`. A smaller link on the way says so, which is believed after an answer of that size.
 * "black hole" when packets of the size that the way is said to take are lost and small ones are not.
 */
export function pathMtu(
	address: IpAddress,
	linkMtu: number,
	timeoutMs: number,
): { readonly bytes: number } | { readonly error: string } {
	let size = linkMtu;
	for (let round = 0; round < 5; round++) {
		const echo = ping(address, timeoutMs, size);
		if ("ms" in echo) return { bytes: size };
		if (echo.mtu === undefined) return { error: echo.error === "EAGAIN" ? "black hole" : echo.error };
		if (echo.mtu >= size || echo.mtu < kindOf(address).header + ECHO_HEADER) return { error: "EMSGSIZE" };
		size = echo.mtu;
	}
	return { error: "no size found" };
}
