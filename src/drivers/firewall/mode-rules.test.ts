import { expect, test } from "bun:test";
import { hostChains, modeForward, modeSets } from "./mode-rules.ts";
import type { NetworkRules, RulesetModel } from "./ruleset.ts";

const bridge: NetworkRules = {
	bridge: "fd0",
	subnet: "172.17.0.0/16",
	internal: false,
	icc: true,
	masquerade: true,
	unprotected: false,
};
const outbound: NetworkRules = {
	...bridge,
	bridge: "fd-out",
	subnet: "192.168.65.0/24",
	icc: false,
	outbound: { allowed: ["10.0.0.0/8"] },
};

function model(networks: readonly NetworkRules[], control: RulesetModel["control"] = []): RulesetModel {
	return { instance: "fd", networks, ports: [], control };
}

test("without an outbound network and sockets of the engine's there is but the rule about relayed ports", () => {
	const plain = model([bridge]);
	expect([modeSets(plain), modeForward(plain), hostChains(plain)]).toEqual([
		"",
		"",
		`	chain input {
		type filter hook input priority filter; policy accept;
		iifname @bridges meta l4proto tcp meta nfproto ipv6 meta l4proto . th dport @relayed reject with tcp reset
		iifname @bridges meta nfproto ipv6 meta l4proto . th dport @relayed reject
		iifname @bridges meta l4proto tcp ip6 daddr . meta l4proto . th dport @relayed_at reject with tcp reset
		iifname @bridges ip6 daddr . meta l4proto . th dport @relayed_at reject
		udp sport 53 iifname @bridges fib saddr . iif oif 0 drop
	}
`,
	]);
});

test("an outbound network: the sets, and what is dropped on the way", () => {
	const some = model([bridge, outbound]);
	expect(modeSets(some)).toBe(`	set outbound {
		type ifname
		elements = { "fd-out" }
	}
	set outbound_allowed {
		type ifname . ipv4_addr
		flags interval
		elements = { "fd-out" . 10.0.0.0/8 }
	}
	set lan {
		type ipv4_addr
		flags interval
		elements = { 0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/3 }
	}
`);
	expect(modeForward(some)).toBe(`		meta nfproto ipv6 iifname @outbound drop
		meta nfproto ipv6 oifname @outbound drop
		iifname @outbound oifname @bridges drop
		iifname @outbound ip daddr @lan iifname . ip daddr != @outbound_allowed drop
`);
	expect(hostChains(some)).toBe(`	chain input {
		type filter hook input priority filter; policy accept;
		meta nfproto ipv6 iifname @outbound drop
		iifname @outbound ct state new,invalid,untracked drop
		iifname @bridges meta l4proto tcp meta nfproto ipv6 meta l4proto . th dport @relayed reject with tcp reset
		iifname @bridges meta nfproto ipv6 meta l4proto . th dport @relayed reject
		iifname @bridges meta l4proto tcp ip6 daddr . meta l4proto . th dport @relayed_at reject with tcp reset
		iifname @bridges ip6 daddr . meta l4proto . th dport @relayed_at reject
		udp sport 53 iifname @bridges fib saddr . iif oif 0 drop
	}
	chain to_outbound {
		type filter hook output priority filter; policy accept;
		meta nfproto ipv6 oifname @outbound drop
		oifname @outbound ct state new,invalid,untracked drop
	}
`);
});

test("the engine's own sockets are closed to all bridges, on one address or on all", () => {
	const control = [
		{ protocol: "tcp", address: 0, port: 2376 },
		{ protocol: "udp", address: 0x7f000099, port: 53 },
	] as const;
	expect(hostChains(model([bridge], control))).toBe(`	chain input {
		type filter hook input priority filter; policy accept;
		iifname @bridges tcp dport 2376 reject with tcp reset
		iifname @bridges ip daddr 127.0.0.153 udp dport 53 reject
		iifname @bridges meta l4proto tcp meta nfproto ipv6 meta l4proto . th dport @relayed reject with tcp reset
		iifname @bridges meta nfproto ipv6 meta l4proto . th dport @relayed reject
		iifname @bridges meta l4proto tcp ip6 daddr . meta l4proto . th dport @relayed_at reject with tcp reset
		iifname @bridges ip6 daddr . meta l4proto . th dport @relayed_at reject
		udp sport 53 iifname @bridges fib saddr . iif oif 0 drop
	}
`);
});
