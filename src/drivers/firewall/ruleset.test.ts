import { expect, test } from "bun:test";
import {
	type NetworkRules,
	type PortForward,
	quoted,
	renderPublish,
	renderRuleset,
	renderUnpublish,
} from "./ruleset.ts";

const anywhere: PortForward = { protocol: "tcp", hostAddress: 0, hostPort: 8080, address: 0xac110002, port: 80 };
const loopback: PortForward = {
	protocol: "udp",
	hostAddress: 0x7f000001,
	hostPort: 53,
	address: 0xac110003,
	port: 5353,
};
const routed: PortForward = { ...anywhere, address: 0x0a010002, direct: true };

const bridge: NetworkRules = {
	bridge: "fd0",
	subnet: "172.17.0.0/16",
	internal: false,
	icc: true,
	masquerade: true,
	unprotected: false,
};

const CHAINS = `	chain guard {
		type filter hook prerouting priority raw; policy accept;
		iifname != "lo" ip daddr 127.0.0.0/8 drop
		iifname != "lo" ip saddr 127.0.0.0/8 drop
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
		ct status & confirmed == 0 iifname . oifname @inside ip saddr @masqueraded ip saddr . oifname != @own drop
		iifname . oifname @inside accept
		iifname @internal drop
		oifname @internal drop
		iifname @bridges tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
		oifname @bridges tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
		oifname @bridges ct state established,related accept
		oifname @bridges ct status dnat accept
		oifname @bridges ip daddr . meta l4proto . th dport @opened accept
		iifname != @bridges oifname @unprotected accept
		oifname @bridges drop
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
		ip saddr . oifname @own ct status dnat masquerade
		ip saddr . oifname @own return
		ip saddr @masqueraded masquerade
	}
	chain input {
		type filter hook input priority filter; policy accept;
		iifname @bridges meta l4proto tcp meta nfproto ipv6 meta l4proto . th dport @relayed reject with tcp reset
		iifname @bridges meta nfproto ipv6 meta l4proto . th dport @relayed reject
		iifname @bridges meta l4proto tcp ip6 daddr . meta l4proto . th dport @relayed_at reject with tcp reset
		iifname @bridges ip6 daddr . meta l4proto . th dport @relayed_at reject
		udp sport 53 iifname @bridges fib saddr . iif oif 0 drop
	}
}
`;

test("the whole table, with the predefined network alone", () => {
	const model = { instance: "fd", networks: [bridge], ports: [anywhere, loopback] };
	expect(renderRuleset(model)).toBe(`table inet foredeck-fd
delete table inet foredeck-fd
table inet foredeck-fd {
	set bridges {
		type ifname
		elements = { "fd0" }
	}
	set inside {
		type ifname . ifname
		elements = { "fd0" . "fd0" }
	}
	set internal {
		type ifname
	}
	set unprotected {
		type ifname
	}
	set own {
		type ipv4_addr . ifname
		flags interval
		elements = { 172.17.0.0/16 . "fd0" }
	}
	set masqueraded {
		type ipv4_addr
		flags interval
		elements = { 172.17.0.0/16 }
	}
	map published {
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = { tcp . 8080 : 172.17.0.2 . 80 }
	}
	map published_at {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
		elements = { 127.0.0.1 . udp . 53 : 172.17.0.3 . 5353 }
	}
	set opened {
		type ipv4_addr . inet_proto . inet_service
	}
	set relayed {
		type inet_proto . inet_service
	}
	set relayed_at {
		type ipv6_addr . inet_proto . inet_service
	}
${CHAINS}`);
});

test("internal, closed, routed and unprotected networks differ in the sets they are in, not in the rules", () => {
	const networks: NetworkRules[] = [
		bridge,
		{ ...bridge, bridge: "br-in", subnet: "172.18.0.0/16", internal: true },
		{ ...bridge, bridge: "br-closed", subnet: "172.19.0.0/16", icc: false },
		{ ...bridge, bridge: "br-routed", subnet: "10.1.0.0/24", masquerade: false },
		{ ...bridge, bridge: "br-open", subnet: "10.2.0.0/24", unprotected: true },
	];
	const text = renderRuleset({ instance: "t", networks, ports: [routed] });
	const sets = text.slice(text.indexOf("\tset bridges"), text.indexOf("\tchain guard"));
	expect(sets).toBe(`	set bridges {
		type ifname
		elements = { "fd0", "br-in", "br-closed", "br-routed", "br-open" }
	}
	set inside {
		type ifname . ifname
		elements = { "fd0" . "fd0", "br-in" . "br-in", "br-routed" . "br-routed", "br-open" . "br-open" }
	}
	set internal {
		type ifname
		elements = { "br-in" }
	}
	set unprotected {
		type ifname
		elements = { "br-open" }
	}
	set own {
		type ipv4_addr . ifname
		flags interval
		elements = { 172.17.0.0/16 . "fd0", 172.18.0.0/16 . "br-in", 172.19.0.0/16 . "br-closed", 10.1.0.0/24 . "br-routed", 10.2.0.0/24 . "br-open" }
	}
	set masqueraded {
		type ipv4_addr
		flags interval
		elements = { 172.17.0.0/16, 172.19.0.0/16, 10.2.0.0/24 }
	}
	map published {
		type inet_proto . inet_service : ipv4_addr . inet_service
	}
	map published_at {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
	}
	set opened {
		type ipv4_addr . inet_proto . inet_service
		elements = { 10.1.0.2 . tcp . 80 }
	}
	set relayed {
		type inet_proto . inet_service
	}
	set relayed_at {
		type ipv6_addr . inet_proto . inet_service
	}
`);
	expect(text.slice(text.indexOf("\tchain guard"))).toBe(CHAINS);
});

test("a port comes and goes as one element", () => {
	expect(renderPublish("fd", [anywhere])).toBe(
		"add element inet foredeck-fd published { tcp . 8080 : 172.17.0.2 . 80 }\n",
	);
	expect(renderUnpublish("fd", [loopback])).toBe(
		"delete element inet foredeck-fd published_at { 127.0.0.1 . udp . 53 }\n",
	);
	const sctp: PortForward = { ...anywhere, protocol: "sctp" };
	expect(renderPublish("fd", [sctp])).toContain("published { sctp . 8080 : 172.17.0.2 . 80 }");
	expect(renderPublish("fd", [routed])).toBe("add element inet foredeck-fd opened { 10.1.0.2 . tcp . 80 }\n");
});

const SIX: NetworkRules = {
	...bridge,
	bridge: "br-six",
	subnet: undefined,
	ipv6: { subnet: "fd00:6::/64", masquerade: true, unprotected: false, routed: false },
};

test("IPv6 has sets and rules of its own beside those of both families", () => {
	const six: PortForward = {
		protocol: "tcp",
		hostAddress: 0n,
		hostPort: 8080,
		address: 0xfd000006000000000000000000000002n,
		port: 80,
	};
	const local: PortForward = { ...six, hostAddress: 0xfd000009000000000000000000000001n, hostPort: 8081 };
	const routed = { subnet: "fd00:7::/64", masquerade: false, unprotected: false, routed: true };
	const networks: NetworkRules[] = [
		SIX,
		{ ...bridge, ipv6: routed },
		{
			...SIX,
			bridge: "br-in",
			internal: true,
			ipv6: { ...routed, subnet: "fd00:8::/64", masquerade: true, routed: false },
		},
	];
	const opened: PortForward = { ...six, address: 0xfd000007000000000000000000000002n, direct: true };
	const relayed: PortForward = { ...anywhere, hostAddress: 0n, hostPort: 8082, relayed: true };
	const relayedAt: PortForward = { ...loopback, hostAddress: local.hostAddress, relayed: true };
	const ports = [anywhere, six, local, opened, relayed, relayedAt];
	const text = renderRuleset({ instance: "t", networks, ports });
	expect(text.slice(text.indexOf("\tset own {"), text.indexOf("\tmap published {"))).toBe(`	set own {
		type ipv4_addr . ifname
		flags interval
		elements = { 172.17.0.0/16 . "fd0" }
	}
	set masqueraded {
		type ipv4_addr
		flags interval
		elements = { 172.17.0.0/16 }
	}
`);
	expect(text.slice(text.indexOf("\tset unprotected6"))).toBe(`	set unprotected6 {
		type ifname
	}
	set routed6 {
		type ifname
		elements = { "fd0" }
	}
	set own6 {
		type ipv6_addr . ifname
		flags interval
		elements = { fd00:6::/64 . "br-six", fd00:7::/64 . "fd0", fd00:8::/64 . "br-in" }
	}
	set masqueraded6 {
		type ipv6_addr
		flags interval
		elements = { fd00:6::/64 }
	}
	map published6 {
		type inet_proto . inet_service : ipv6_addr . inet_service
		elements = { tcp . 8080 : fd00:6::2 . 80 }
	}
	map published_at6 {
		type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service
		elements = { fd00:9::1 . tcp . 8081 : fd00:6::2 . 80 }
	}
	set opened6 {
		type ipv6_addr . inet_proto . inet_service
		elements = { fd00:7::2 . tcp . 80 }
	}
	set relayed {
		type inet_proto . inet_service
		elements = { tcp . 8082 }
	}
	set relayed_at {
		type ipv6_addr . inet_proto . inet_service
		elements = { fd00:9::1 . udp . 53 }
	}
	chain guard {
		type filter hook prerouting priority raw; policy accept;
		iifname != "lo" ip daddr 127.0.0.0/8 drop
		iifname != "lo" ip saddr 127.0.0.0/8 drop
	}
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @published_at
		fib daddr type local dnat ip to meta l4proto . th dport map @published
		fib daddr type local dnat ip6 to ip6 daddr . meta l4proto . th dport map @published_at6
		fib daddr type local dnat ip6 to meta l4proto . th dport map @published6
	}
	chain output {
		type nat hook output priority -100; policy accept;
		fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @published_at
		fib daddr type local dnat ip to meta l4proto . th dport map @published
		ip6 daddr != ::1 fib daddr type local dnat ip6 to ip6 daddr . meta l4proto . th dport map @published_at6
		ip6 daddr != ::1 fib daddr type local dnat ip6 to meta l4proto . th dport map @published6
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct status & confirmed == 0 iifname . oifname @inside ip saddr @masqueraded ip saddr . oifname != @own drop
		ct status & confirmed == 0 iifname . oifname @inside ip6 saddr @masqueraded6 ip6 saddr . oifname != @own6 drop
		iifname . oifname @inside accept
		iifname @internal drop
		oifname @internal drop
		iifname @bridges tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
		oifname @bridges tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
		oifname @bridges ct state established,related accept
		oifname @bridges ct status dnat accept
		oifname @bridges ip daddr . meta l4proto . th dport @opened accept
		meta nfproto ipv4 iifname != @bridges oifname @unprotected accept
		oifname @bridges ip6 daddr . meta l4proto . th dport @opened6 accept
		meta nfproto ipv6 iifname != @bridges oifname @unprotected6 accept
		oifname @routed6 icmpv6 type echo-request accept
		oifname @bridges drop
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
		ip saddr . oifname @own ct status dnat masquerade
		ip saddr . oifname @own return
		ip saddr @masqueraded masquerade
		ip6 saddr . oifname @own6 ct status dnat masquerade
		ip6 saddr . oifname @own6 return
		ip6 saddr @masqueraded6 masquerade
	}
	chain input {
		type filter hook input priority filter; policy accept;
		iifname @bridges meta l4proto tcp meta nfproto ipv6 meta l4proto . th dport @relayed reject with tcp reset
		iifname @bridges meta nfproto ipv6 meta l4proto . th dport @relayed reject
		iifname @bridges meta l4proto tcp ip6 daddr . meta l4proto . th dport @relayed_at reject with tcp reset
		iifname @bridges ip6 daddr . meta l4proto . th dport @relayed_at reject
		udp sport 53 iifname @bridges fib saddr . iif oif 0 drop
	}
}
`);
	expect(renderPublish("t", [six, opened])).toBe(
		"add element inet foredeck-t published6 { tcp . 8080 : fd00:6::2 . 80 }\nadd element inet foredeck-t opened6 { fd00:7::2 . tcp . 80 }\n",
	);
	expect(renderUnpublish("t", [relayed])).toBe("delete element inet foredeck-t relayed { tcp . 8082 }\n");
	expect(renderUnpublish("t", [local])).toBe(
		"delete element inet foredeck-t published_at6 { fd00:9::1 . tcp . 8081 }\n",
	);
});

test.each(['x", "eth0', "eth*", "a\\b", "a\nb", "", "a b", "é"])(
	"a name that nft would read otherwise is not written: %j",
	(name) => {
		expect(() => quoted(name)).toThrow("cannot stand in a ruleset");
	},
);
