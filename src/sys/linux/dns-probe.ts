import { randomInt } from "node:crypto";
import { formatIpv6, ipv6OfBytes } from "../../shared/ip.ts";
import { SyscallError } from "./libc.ts";
import { ProbeSocket, uint16 } from "./probe-socket.ts";

const SOCK_DGRAM = 2;
const IPPROTO_UDP = 17;
const DNS_PORT = 53;
const TYPES = { A: 1, AAAA: 28 };

export type DnsProbe = { readonly addresses: readonly string[]; readonly rcode: number } | { readonly error: string };

/** `dig +short TYPE NAME @SERVER`: one question over UDP. */
export function askName(server: number, name: string, timeoutMs: number, type: keyof typeof TYPES = "A"): DnsProbe {
	using socket = new ProbeSocket({ type: SOCK_DGRAM, protocol: IPPROTO_UDP }, timeoutMs);
	const id = randomInt(0x10000);
	try {
		socket.connect(server, DNS_PORT);
		socket.send(question(id, name, TYPES[type]));
		const reply = socket.receive();
		if (uint16(reply, 0) !== id) return { error: "an answer to another question" };
		return { addresses: addressesIn(reply), rcode: (reply[3] ?? 0) & 15 };
	} catch (error) {
		if (error instanceof SyscallError) return { error: error.code === "EAGAIN" ? "ETIMEDOUT" : error.code };
		throw error;
	}
}

function question(id: number, name: string, type: number): Uint8Array {
	const labels = name.split(".").filter((label) => label !== "");
	const text = labels.flatMap((label) => [Buffer.byteLength(label), ...Buffer.from(label)]);
	// Recursion desired, one question, class IN.
	return Uint8Array.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...text, 0, 0, type, 0, 1]);
}

/** The addresses of a reply, A and AAAA; what cannot be read ends the list. */
export function addressesIn(reply: Uint8Array): string[] {
	let at = 12;
	for (let left = uint16(reply, 4); left > 0; left--) at = afterName(reply, at) + 4;
	const found: string[] = [];
	for (let left = uint16(reply, 6); left > 0 && at < reply.length; left--) {
		at = afterName(reply, at);
		const length = uint16(reply, at + 8);
		if (length < 0) break;
		const [type, data] = [uint16(reply, at), reply.slice(at + 10, at + 10 + length)];
		if (type === TYPES.A && data.length === 4) found.push(data.join("."));
		if (type === TYPES.AAAA && data.length === 16) found.push(formatIpv6(ipv6OfBytes(data)));
		at += 10 + length;
	}
	return found;
}

/** A name ends with an empty label, or with a pointer of two bytes. */
function afterName(bytes: Uint8Array, from: number): number {
	let at = from;
	while (at < bytes.length) {
		const length = bytes[at] ?? 0;
		if (length === 0) return at + 1;
		if (length >= 0xc0) return at + 2;
		at += 1 + length;
	}
	return at;
}
