import { expect, test } from "bun:test";
import { type NetworkRules, type PortForward, renderPublish, renderRuleset, renderUnpublish } from "./ruleset.ts";

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
	expect(renderPublish("fd", [routed])).toBe("add element inet foredeck-fd opened { 10.1.0.2 . tcp . 80 }\n");
});
