export interface ResolverPorts {
	readonly udpPort: number;
	readonly tcpPort: number;
}

/** Deletes the table, be it there or not. */
export const CLEAR_REDIRECT = "table netdev foredeck\ndelete table netdev foredeck\n";
export const CLEAR_TRANSLATION = "table inet foredeck\ndelete table inet foredeck\n";

const DNS_PORT = 53;
/** Flags and offset of a datagram that must not be fragmented. */
const DONT_FRAGMENT = 0x4000;

/**
 * The table inside a sandbox: 127.0.0.11:53 is served on other ports, so that port 53 stays the container's. Ports are rewritten on lo, there and back,
 * and not translated: that would have the kernel track every connection of the sandbox, on whatever interface.
 */
export function resolverRedirect({ udpPort, tcpPort }: ResolverPorts): string {
	const refused = [DONT_FRAGMENT, 0].map((fragment) => `\t\t${refusal(udpPort, fragment)}\n`).join("");
	return `table netdev foredeck {
	chain resolver {
		type filter hook ingress device "lo" priority filter; policy accept;
		ip daddr 127.0.0.11 udp dport ${DNS_PORT} udp dport set ${udpPort}
		ip daddr 127.0.0.11 tcp dport ${DNS_PORT} tcp dport set ${tcpPort}
		ip saddr 127.0.0.11 udp sport ${udpPort} udp sport set ${DNS_PORT}
		ip saddr 127.0.0.11 tcp sport ${tcpPort} tcp sport set ${DNS_PORT}
${refused}	}
}
`;
}

/**
 * While nobody listens, the kernel says so of the other port, quoting the datagram after 8 bytes of its own: the client must read of port 53, or it waits
 * for an answer. What that takes from the checksum is added to the quoted flags and offset, which nobody reads.
 */
function refusal(udpPort: number, fragment: number): string {
	const [quotedPort, quotedFragment] = ["@th,240,16", "@th,112,16"];
	const quoted = `icmp type destination-unreachable ${quotedPort} ${udpPort} ${quotedFragment} ${fragment}`;
	const sum = fragment + udpPort - DNS_PORT;
	const balanced = sum > 0xffff ? sum - 0xffff : sum;
	return `ip saddr 127.0.0.11 ${quoted} ${quotedFragment} set ${balanced} ${quotedPort} set ${DNS_PORT}`;
}

/** The same by connection tracking, for kernels whose nftables do not know devices. */
export function resolverTranslation({ udpPort, tcpPort }: ResolverPorts): string {
	return `table inet foredeck {
	chain output {
		type nat hook output priority -100; policy accept;
		ip daddr 127.0.0.11 udp dport ${DNS_PORT} dnat ip to 127.0.0.11:${udpPort}
		ip daddr 127.0.0.11 tcp dport ${DNS_PORT} dnat ip to 127.0.0.11:${tcpPort}
	}
}
`;
}
