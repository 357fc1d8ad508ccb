import { expect, test } from "bun:test";
import { resolverRedirect } from "./resolver-redirect.ts";

test("ports are rewritten on lo, and what refuses a datagram speaks of port 53 with its checksum kept", () => {
	expect(resolverRedirect({ udpPort: 40_000, tcpPort: 40_001 })).toBe(`table netdev foredeck {
	chain resolver {
		type filter hook ingress device "lo" priority filter; policy accept;
		ip daddr 127.0.0.11 udp dport 53 udp dport set 40000
		ip daddr 127.0.0.11 tcp dport 53 tcp dport set 40001
		ip saddr 127.0.0.11 udp sport 40000 udp sport set 53
		ip saddr 127.0.0.11 tcp sport 40001 tcp sport set 53
		ip saddr 127.0.0.11 icmp type destination-unreachable @th,240,16 40000 @th,112,16 16384 @th,112,16 set 56331 @th,240,16 set 53
		ip saddr 127.0.0.11 icmp type destination-unreachable @th,240,16 40000 @th,112,16 0 @th,112,16 set 39947 @th,240,16 set 53
	}
}
`);
});

test("a checksum that overflows is carried around", () => {
	expect(resolverRedirect({ udpPort: 60_000, tcpPort: 1 })).toContain("@th,112,16 16384 @th,112,16 set 10796 ");
	expect((16_384 + 60_000) % 0xffff).toBe(10_796 + 53);
});
