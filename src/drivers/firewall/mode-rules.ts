import { formatIpv4 } from "../../shared/ip.ts";
import type { ControlAddress, RulesetModel } from "./ruleset.ts";

/** What is no internet: this network, private (RFC 1918), shared (RFC 6598), loopback, link-local, benchmarks, multicast, reserved. */
const LAN = [
	"0.0.0.0/8",
	"10.0.0.0/8",
	"100.64.0.0/10",
	"127.0.0.0/8",
	"169.254.0.0/16",
	"172.16.0.0/12",
	"192.168.0.0/16",
	"198.18.0.0/15",
	"224.0.0.0/3",
];

/** Sets of the outbound networks; none where there is no such network. */
export function modeSets({ networks }: RulesetModel): string {
	const outbound = networks.filter((network) => network.outbound);
	if (outbound.length === 0) return "";
	const names = outbound.map(({ bridge }) => JSON.stringify(bridge));
	const allowed = outbound.flatMap(({ bridge, outbound: own }) =>
		(own?.allowed ?? []).map((cidr) => `${JSON.stringify(bridge)} . ${cidr}`),
	);
	const holes = allowed.length > 0 ? `\t\telements = { ${allowed.join(", ")} }\n` : "";
	return `	set outbound {
		type ifname
		elements = { ${names.join(", ")} }
	}
	set outbound_allowed {
		type ifname . ipv4_addr
		flags interval
${holes}	}
	set lan {
		type ipv4_addr
		flags interval
		elements = { ${LAN.join(", ")} }
	}
`;
}

/**
 * In forward: no other sandbox, be it by a published port, and nothing of the LAN but what is allowed. The way back in ends with the other networks'.
 * IPv6 is closed, for what is LAN in it cannot be told by the address: a container that gives itself one gets nowhere.
 */
export function modeForward({ networks }: RulesetModel): string {
	if (!networks.some((network) => network.outbound)) return "";
	return `		meta nfproto ipv6 iifname @outbound drop
		meta nfproto ipv6 oifname @outbound drop
		iifname @outbound oifname @bridges drop
		iifname @outbound ip daddr @lan iifname . ip daddr != @outbound_allowed drop
`;
}

/**
 * Between sandboxes and the host itself. An outbound network and the host begin nothing with each other: resolvers are inside the sandboxes. From all
 * other networks the host is reached, as docker has it, but for the engine's own sockets.
 */
export function hostChains({ networks, control = [] }: RulesetModel): string {
	const outbound = networks.some((network) => network.outbound);
	const rules = [
		...(outbound
			? ["meta nfproto ipv6 iifname @outbound drop", "iifname @outbound ct state new,invalid,untracked drop"]
			: []),
		...control.map(controlRule),
		...RELAYED,
		FORGED_ANSWER,
	];
	const input = `	chain input {
		type filter hook input priority filter; policy accept;
${rules.map((rule) => `\t\t${rule}\n`).join("")}	}
`;
	const toOutbound = `	chain to_outbound {
		type filter hook output priority filter; policy accept;
		meta nfproto ipv6 oifname @outbound drop
		oifname @outbound ct state new,invalid,untracked drop
	}
`;
	return input + (outbound ? toOutbound : "");
}

/** Ports published by IPv6 that a process of ours passes on: from a container, it would lead past policies and out of internal networks. */
const RELAYED = [
	["meta nfproto ipv6 meta l4proto", "@relayed"],
	["ip6 daddr . meta l4proto", "@relayed_at"],
].flatMap(([what, set]) => [
	`iifname @bridges meta l4proto tcp ${what} . th dport ${set} reject with tcp reset`,
	`iifname @bridges ${what} . th dport ${set} reject`,
]);

/** From a name server that is elsewhere: guesses at what the engine's resolver is waiting for. One that is a container itself is at home where it answers. */
const FORGED_ANSWER = "udp sport 53 iifname @bridges fib saddr . iif oif 0 drop";

/** Refused at once rather than left to time out: the port is plainly closed. */
function controlRule({ protocol, address, port }: ControlAddress): string {
	const to = address === 0 ? "" : `ip daddr ${formatIpv4(address)} `;
	const how = protocol === "tcp" ? "reject with tcp reset" : "reject";
	return `iifname @bridges ${to}${protocol} dport ${port} ${how}`;
}
