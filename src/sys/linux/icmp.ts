import { randomInt } from "node:crypto";
import { SyscallError } from "./libc.ts";
import { ProbeSocket, uint16 } from "./probe-socket.ts";

const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const IPPROTO_ICMP = 1;
const IPPROTO_IP = 0;
const IP_MTU_DISCOVER = 10;
const IP_PMTUDISC_DO = 2;
const IP_MTU = 14;
/** IPv4 and ICMP headers, bytes. */
const HEADERS = 28;
const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;

/** An answer, or the errno's name: EAGAIN for none in time. */
export type Echo = { readonly ms: number } | { readonly error: string };

/** `ping -c 1 -M do -s SIZE-28 ADDRESS`: one echo of so many bytes on the wire, never fragmented. */
export function ping(address: number, timeoutMs: number, bytes = 84): Echo & { readonly mtu?: number } {
	using socket = open(timeoutMs);
	const begin = performance.now();
	try {
		socket.connect(address, 0);
		socket.option(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
		const id = randomInt(0x10000);
		socket.send(echoRequest(id, Math.max(8, bytes - 20)));
		for (;;) {
			if (isReply(socket.receive(), socket.isRaw ? id : undefined)) return { ms: performance.now() - begin };
			socket.setTimeout(timeoutMs - (performance.now() - begin));
		}
	} catch (error) {
		if (!(error instanceof SyscallError)) throw error;
		if (error.code !== "EMSGSIZE") return { error: error.code };
		return { error: error.code, mtu: socket.readOption(IPPROTO_IP, IP_MTU) };
	}
}

/** The kernel hands a ping socket the replies to its own echoes only. Where it allows nobody one (net.ipv4.ping_group_range), a raw socket sees them all. */
function open(timeoutMs: number): ProbeSocket & { isRaw: boolean } {
	try {
		const socket = new ProbeSocket({ type: SOCK_DGRAM, protocol: IPPROTO_ICMP }, timeoutMs);
		return Object.assign(socket, { isRaw: false });
	} catch (error) {
		if (!(error instanceof SyscallError) || error.code !== "EACCES") throw error;
		return Object.assign(new ProbeSocket({ type: SOCK_RAW, protocol: IPPROTO_ICMP }, timeoutMs), { isRaw: true });
	}
}

function echoRequest(id: number, length: number): Uint8Array {
	const request = new Uint8Array(length);
	request.set([ECHO_REQUEST, 0, 0, 0, id >> 8, id & 255, 0, 1]);
	// Ones' complement sum of the words, the rest of which are zero.
	let sum = (ECHO_REQUEST << 8) + id + 1;
	sum = ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
	request.set([sum >> 8, sum & 255], 2);
	return request;
}

/** A raw socket's datagrams begin with the IP header. */
function isReply(bytes: Uint8Array, id: number | undefined): boolean {
	if (id === undefined) return true;
	const at = ((bytes[0] ?? 0) & 15) * 4;
	return bytes[at] === ECHO_REPLY && uint16(bytes, at + 4) === id;
}

/**
 * The largest packet that gets to the address whole: `tracepath`. A smaller link on the way says so, which is believed after an answer of that size.
 * "black hole" when packets of the size that the way is said to take are lost and small ones are not.
 */
export function pathMtu(
	address: number,
	linkMtu: number,
	timeoutMs: number,
): { readonly bytes: number } | { readonly error: string } {
	let size = linkMtu;
	for (let round = 0; round < 5; round++) {
		const echo = ping(address, timeoutMs, size);
		if ("ms" in echo) return { bytes: size };
		if (echo.mtu === undefined) return { error: echo.error === "EAGAIN" ? "black hole" : echo.error };
		if (echo.mtu >= size || echo.mtu < HEADERS) return { error: "EMSGSIZE" };
		size = echo.mtu;
	}
	return { error: "no size found" };
}
