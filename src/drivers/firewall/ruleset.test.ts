import { expect, test } from "bun:test";
import { type PortForward, renderPublish, renderRuleset, renderUnpublish } from "./ruleset.ts";

const anywhere: PortForward = { protocol: "tcp", hostAddress: 0, hostPort: 8080, address: 0xac110002, port: 80 };
const loopback: PortForward = {
	protocol: "udp",
	hostAddress: 0x7f000001,
	hostPort: 53,
	address: 0xac110003,
	port: 5353,
};

test("the whole table", () => {
	const model = { instance: "fd", bridge: "fd0", subnet: "172.17.0.0/16", ports: [anywhere, loopback] };
	expect(renderRuleset(model)).toBe(`table inet foredeck-fd
delete table inet foredeck-fd
table inet foredeck-fd {
	map published {
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = { tcp . 8080 : 172.17.0.2 . 80 }
	}
	map published_at {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
		elements = { 127.0.0.1 . udp . 53 : 172.17.0.3 . 5353 }
	}
	chain guard {
		type filter hook prerouting priority raw; policy accept;
		iifname != "lo" ip daddr 127.0.0.0/8 drop
	}
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @published_at
		fib daddr type local dnat ip to meta l4proto . th dport map @published
	}
	chain output {
		type nat hook output priority -100; policy accept;
		fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @published_at
		fib daddr type local dnat ip to meta l4proto . th dport map @published
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname "fd0" oifname != "fd0" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
		iifname "fd0" oifname "fd0" accept
		oifname "fd0" ct state established,related accept
		oifname "fd0" ct status dnat accept
		oifname "fd0" drop
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname != "fd0" ip saddr 172.17.0.0/16 masquerade
		oifname "fd0" ip saddr 127.0.0.0/8 masquerade
		oifname "fd0" ip saddr 172.17.0.0/16 ct status dnat masquerade
	}
}
`);
});

test("a port comes and goes as one element", () => {
	expect(renderPublish("fd", [anywhere])).toBe(
		"add element inet foredeck-fd published { tcp . 8080 : 172.17.0.2 . 80 }\n",
	);
	expect(renderUnpublish("fd", [loopback])).toBe(
		"delete element inet foredeck-fd published_at { 127.0.0.1 . udp . 53 }\n",
	);
});
