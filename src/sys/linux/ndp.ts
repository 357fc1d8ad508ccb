import { formatIpv6, ipv6OfBytes } from "../../shared/ip.ts";
import { attributesOf, RouteSocket, view } from "./netlink.ts";

const AF_INET6 = 10;
const RTM_GETNEIGH = 30;
const NDA_DST = 1;
const NDA_LLADDR = 2;
/** NUD_INCOMPLETE and NUD_FAILED: asked, and nobody has answered. */
const UNANSWERED = 0x01 | 0x20;

/** What the calling thread's network namespace knows of an IPv6 neighbour: `ip -6 neigh show ADDRESS`. "failed": asked, and nobody answered. */
export function neighbour6(address: bigint): { readonly mac: string } | { readonly error: "unknown" | "failed" } {
	using socket = new RouteSocket();
	// struct ndmsg
	const body = new Uint8Array(12);
	body[0] = AF_INET6;
	const wanted = formatIpv6(address);
	for (const { body: found } of socket.dump({ type: RTM_GETNEIGH, body, twin: `ip -6 neigh show ${wanted}` })) {
		const attributes = attributesOf(found, 12);
		const destination = attributes.get(NDA_DST);
		if (destination?.length !== 16 || ipv6OfBytes(destination) !== address) continue;
		const mac = attributes.get(NDA_LLADDR);
		const state = view(found).getUint16(8, true);
		if (!mac || (state & UNANSWERED) !== 0) return { error: "failed" };
		return { mac: [...mac].map((byte) => byte.toString(16).padStart(2, "0")).join(":") };
	}
	return { error: "unknown" };
}
