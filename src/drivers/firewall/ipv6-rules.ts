import { elementsLine, quoted, type RulesetModel, set } from "./ruleset.ts";

export interface Ipv6Parts {
	readonly sets: string;
	/** Of prerouting and output. */
	readonly translation: string;
	readonly outputTranslation: string;
	/** Of what passes inside a bridge. */
	readonly inside: string;
	readonly forward: string;
	readonly postrouting: string;
}

const NOTHING: Ipv6Parts = {
	sets: "",
	translation: "",
	outputTranslation: "",
	inside: "",
	forward: "",
	postrouting: "",
};

/**
 * What the table says of IPv6, beside the rules that know no family; nothing where no network has it. There is no 127/8 to guard: the kernel lets no ::1
 * come from a wire. Neighbour discovery passes no router, so nothing needs to let it through; what is too big comes back as `related`.
 * Connections to ::1 are not translated: the kernel drops the answers, IPv6 having no route_localnet. The relay has them.
 */
export function ipv6Rules({ networks, ports }: RulesetModel): Ipv6Parts {
	const all = networks.flatMap(({ bridge, internal, ipv6 }) => (ipv6 ? [{ ...ipv6, bridge, internal }] : []));
	if (all.length === 0) return NOTHING;
	const names = (chosen: typeof all) => chosen.map(({ bridge }) => quoted(bridge));
	const own = all.map(({ subnet, bridge }) => `${subnet} . ${quoted(bridge)}`);
	const masqueraded = all.filter(({ masquerade, internal }) => masquerade && !internal).map(({ subnet }) => subnet);
	return {
		sets: `${[
			set("unprotected6", "ifname", names(all.filter(({ unprotected }) => unprotected))),
			set("routed6", "ifname", names(all.filter(({ routed }) => routed))),
			set("own6", "ipv6_addr . ifname", own, "interval"),
			set("masqueraded6", "ipv6_addr", masqueraded, "interval"),
		].join("")}	map published6 {
		type inet_proto . inet_service : ipv6_addr . inet_service
${elementsLine(ports, "published6")}	}
	map published_at6 {
		type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service
${elementsLine(ports, "published_at6")}	}
	set opened6 {
		type ipv6_addr . inet_proto . inet_service
${elementsLine(ports, "opened6")}	}
`,
		translation: `		fib daddr type local dnat ip6 to ip6 daddr . meta l4proto . th dport map @published_at6
		fib daddr type local dnat ip6 to meta l4proto . th dport map @published6
`,
		outputTranslation: `		ip6 daddr != ::1 fib daddr type local dnat ip6 to ip6 daddr . meta l4proto . th dport map @published_at6
		ip6 daddr != ::1 fib daddr type local dnat ip6 to meta l4proto . th dport map @published6
`,
		inside: `		ct status & confirmed == 0 iifname . oifname @inside ip6 saddr @masqueraded6 ip6 saddr . oifname != @own6 drop
`,
		forward: `		oifname @bridges ip6 daddr . meta l4proto . th dport @opened6 accept
		meta nfproto ipv6 iifname != @bridges oifname @unprotected6 accept
		oifname @routed6 icmpv6 type echo-request accept
`,
		postrouting: `		ip6 saddr . oifname @own6 ct status dnat masquerade
		ip6 saddr . oifname @own6 return
		ip6 saddr @masqueraded6 masquerade
`,
	};
}
