import { expect, test } from "bun:test";
import { logGroupOf, matches } from "./policy-matches.ts";
import type { PolicyModel } from "./policy-model.ts";
import { NO_POLICIES } from "./policy-model.ts";
import { renderForgotten, renderLearned, renderPolicies, renderPolicyChange } from "./policy-rules.ts";
import { renamed } from "./policy-versions.ts";

const nothing = { counters: new Map(), names: [] };

const model: PolicyModel = {
	policies: [
		{
			name: "lock",
			denies: ["egress"],
			rules: [
				{
					index: 0,
					action: "allow",
					direction: "egress",
					peers: [
						{ kind: "name", set: "name.abc", ports: ["443"] },
						{ kind: "ranges", ranges: ["10.0.0.0-10.0.255.255", "10.2.0.0-10.255.255.255"] },
						{ kind: "ranges", ranges: ["2001:db8::/32"] },
						{ kind: "sandboxes", set: "peer.lock.0.2" },
					],
					protocols: ["tcp", "udp"],
					ports: ["53", "8000-8010"],
				},
				{ index: 1, action: "deny", direction: "egress", peers: [{ kind: "host" }], protocols: [], ports: [] },
				{ index: 2, action: "allow", direction: "ingress", peers: [], protocols: ["icmp"], ports: [] },
			],
		},
	],
	groups: [
		{ name: "group.1.egress", direction: "egress", policies: ["lock"], deniedBy: "lock" },
		{ name: "group.1.ingress", direction: "ingress", policies: ["lock"] },
	],
	sandboxes: [
		{ addresses: ["172.18.0.2", "fd00:18::2"], links: ["veth1"], egress: "group.1.egress", ingress: "group.1.ingress" },
		{ addresses: ["172.18.0.3", "172.19.0.3"], links: ["veth2", "veth3"] },
	],
	peers: new Map([["peer.lock.0.2", ["172.18.0.3", "fd00:18::3"]]]),
	bridges: ["br-1"],
};

test("without policies there is nothing", () => {
	expect(renderPolicies("t", NO_POLICIES, nothing)).toBe("");
	expect(renderPolicyChange("t", NO_POLICIES, NO_POLICIES)).toBe("");
});

test("the whole part: counters, sets, chains of a policy, the group that a sandbox is sent to", () => {
	const carried = {
		counters: new Map([["rule.lock.0", { packets: 7, bytes: 420 }]]),
		names: [
			{ set: "name.abc", local: "172.18.0.2", remote: "192.0.2.1", seconds: 41.2 },
			{ set: "name.abc", local: "fd00:18::2", remote: "2001:db8::1", seconds: 41.2 },
		],
	};
	expect(renderPolicies("t", model, carried)).toBe(`table inet foredeck-t {
	counter rule.lock.0 {
		packets 7 bytes 420
	}
	counter rule.lock.1 {
		packets 0 bytes 0
	}
	counter rule.lock.2 {
		packets 0 bytes 0
	}
	counter default.lock.egress {
		packets 0 bytes 0
	}
	set peer.lock.0.2 {
		type ipv4_addr
		elements = { 172.18.0.3 }
	}
	set name.abc {
		type ipv4_addr . ipv4_addr
		flags timeout
		elements = { 172.18.0.2 . 192.0.2.1 timeout 42s }
	}
	map policed_egress {
		type ipv4_addr : verdict
		elements = { 172.18.0.2 : goto group.1.egress }
	}
	map resumed_egress {
		type ipv4_addr : verdict
		elements = { 172.18.0.2 : jump back.group.1.egress }
	}
	map policed_ingress {
		type ipv4_addr : verdict
		elements = { 172.18.0.2 : goto group.1.ingress }
	}
	map resumed_ingress {
		type ipv4_addr : verdict
		elements = { 172.18.0.2 : jump back.group.1.ingress }
	}
	set peer.lock.0.2.6 {
		type ipv6_addr
		elements = { fd00:18::3 }
	}
	set name.abc.6 {
		type ipv6_addr . ipv6_addr
		flags timeout
		elements = { fd00:18::2 . 2001:db8::1 timeout 42s }
	}
	map policed_egress.6 {
		type ipv6_addr : verdict
		elements = { fd00:18::2 : goto group.1.egress }
	}
	map resumed_egress.6 {
		type ipv6_addr : verdict
		elements = { fd00:18::2 : jump back.group.1.egress }
	}
	map policed_ingress.6 {
		type ipv6_addr : verdict
		elements = { fd00:18::2 : goto group.1.ingress }
	}
	map resumed_ingress.6 {
		type ipv6_addr : verdict
		elements = { fd00:18::2 : jump back.group.1.ingress }
	}
	chain drop.lock.1 {
		limit rate 20/second burst 40 packets log prefix "lock 1 egress" group 16500 snaplen 128
		counter name "rule.lock.1"
		tcp flags & (syn | rst) == 0 reject with tcp reset
		drop
	}
	chain drop.lock.egress {
		limit rate 20/second burst 40 packets log prefix "lock egress egress" group 16500 snaplen 128
		counter name "default.lock.egress"
		tcp flags & (syn | rst) == 0 reject with tcp reset
		drop
	}
	chain deny.lock.egress {
		fib daddr type local goto drop.lock.1
	}
	chain allow.lock.egress {
		ip saddr . ip daddr @name.abc meta l4proto { tcp, udp } th dport 443 counter name "rule.lock.0" accept
		ip6 saddr . ip6 daddr @name.abc.6 meta l4proto { tcp, udp } th dport 443 counter name "rule.lock.0" accept
		ip daddr { 10.0.0.0-10.0.255.255, 10.2.0.0-10.255.255.255 } meta l4proto { tcp, udp } th dport { 53, 8000-8010 } counter name "rule.lock.0" accept
		ip6 daddr { 2001:db8::/32 } meta l4proto { tcp, udp } th dport { 53, 8000-8010 } counter name "rule.lock.0" accept
		oifname @bridges ip daddr @peer.lock.0.2 meta l4proto { tcp, udp } th dport { 53, 8000-8010 } counter name "rule.lock.0" accept
		oifname @bridges ip6 daddr @peer.lock.0.2.6 meta l4proto { tcp, udp } th dport { 53, 8000-8010 } counter name "rule.lock.0" accept
	}
	chain back.deny.lock.egress {
		fib saddr type local goto drop.lock.1
	}
	chain deny.lock.ingress {
	}
	chain allow.lock.ingress {
		meta l4proto { icmp, ipv6-icmp } counter name "rule.lock.2" accept
	}
	chain back.deny.lock.ingress {
	}
	chain group.1.egress {
		jump deny.lock.egress
		jump allow.lock.egress
		goto drop.lock.egress
	}
	chain back.group.1.egress {
		jump back.deny.lock.egress
		ip daddr . ip saddr @name.abc meta l4proto { tcp, udp } th sport 443 return
		ip6 daddr . ip6 saddr @name.abc.6 meta l4proto { tcp, udp } th sport 443 return
		ip saddr { 10.0.0.0-10.0.255.255, 10.2.0.0-10.255.255.255 } meta l4proto { tcp, udp } th sport { 53, 8000-8010 } return
		ip6 saddr { 2001:db8::/32 } meta l4proto { tcp, udp } th sport { 53, 8000-8010 } return
		iifname @bridges ip saddr @peer.lock.0.2 meta l4proto { tcp, udp } th sport { 53, 8000-8010 } return
		iifname @bridges ip6 saddr @peer.lock.0.2.6 meta l4proto { tcp, udp } th sport { 53, 8000-8010 } return
		goto drop.lock.egress
	}
	chain group.1.ingress {
		jump deny.lock.ingress
		jump allow.lock.ingress
		accept
	}
	chain back.group.1.ingress {
		jump back.deny.lock.ingress
	}
	chain resumed {
		ip daddr vmap @resumed_egress
		ip6 daddr vmap @resumed_egress.6
		ip saddr vmap @resumed_ingress
		ip6 saddr vmap @resumed_ingress.6
	}
	chain policy_egress {
		type filter hook forward priority filter - 20; policy accept;
		ct state established,related accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept
		tcp flags & (fin | syn | rst | ack) != syn jump resumed
		ip saddr vmap @policed_egress
		ip6 saddr vmap @policed_egress.6
	}
	chain policy_ingress {
		type filter hook forward priority filter - 10; policy accept;
		ct state established,related accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept
		ip daddr vmap @policed_ingress
		ip6 daddr vmap @policed_ingress.6
	}
	chain policy_egress_host {
		type filter hook input priority filter - 10; policy accept;
		iifname != @bridges accept
		ct state established,related accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept
		tcp flags & (fin | syn | rst | ack) != syn jump resumed
		ip saddr vmap @policed_egress
		ip6 saddr vmap @policed_egress.6
	}
	chain policy_ingress_host {
		type filter hook output priority filter - 10; policy accept;
		ct state established,related accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept
		tcp flags & (fin | syn | rst | ack) != syn jump resumed
		ip daddr vmap @policed_ingress
		ip6 daddr vmap @policed_ingress.6
	}
}
`);
});

test("a sandbox that comes or goes is a few elements, a combination of policies that is new a chain", () => {
	const [first, second] = model.sandboxes;
	if (!first || !second) throw new Error("two sandboxes");
	const before: PolicyModel = { ...model, groups: [], sandboxes: [second], peers: new Map([["peer.lock.0.2", []]]) };
	expect(renderPolicyChange("t", model, model)).toBe("");
	expect(renderPolicyChange("t", before, model)).toBe(`table inet foredeck-t {
	chain group.1.egress {
		jump deny.lock.egress
		jump allow.lock.egress
		goto drop.lock.egress
	}
	chain back.group.1.egress {
		jump back.deny.lock.egress
		ip daddr . ip saddr @name.abc meta l4proto { tcp, udp } th sport 443 return
		ip6 daddr . ip6 saddr @name.abc.6 meta l4proto { tcp, udp } th sport 443 return
		ip saddr { 10.0.0.0-10.0.255.255, 10.2.0.0-10.255.255.255 } meta l4proto { tcp, udp } th sport { 53, 8000-8010 } return
		ip6 saddr { 2001:db8::/32 } meta l4proto { tcp, udp } th sport { 53, 8000-8010 } return
		iifname @bridges ip saddr @peer.lock.0.2 meta l4proto { tcp, udp } th sport { 53, 8000-8010 } return
		iifname @bridges ip6 saddr @peer.lock.0.2.6 meta l4proto { tcp, udp } th sport { 53, 8000-8010 } return
		goto drop.lock.egress
	}
	chain group.1.ingress {
		jump deny.lock.ingress
		jump allow.lock.ingress
		accept
	}
	chain back.group.1.ingress {
		jump back.deny.lock.ingress
	}
}
add element inet foredeck-t peer.lock.0.2 { 172.18.0.3 }
add element inet foredeck-t policed_egress { 172.18.0.2 : goto group.1.egress }
add element inet foredeck-t resumed_egress { 172.18.0.2 : jump back.group.1.egress }
add element inet foredeck-t policed_ingress { 172.18.0.2 : goto group.1.ingress }
add element inet foredeck-t resumed_ingress { 172.18.0.2 : jump back.group.1.ingress }
add element inet foredeck-t peer.lock.0.2.6 { fd00:18::3 }
add element inet foredeck-t policed_egress.6 { fd00:18::2 : goto group.1.egress }
add element inet foredeck-t resumed_egress.6 { fd00:18::2 : jump back.group.1.egress }
add element inet foredeck-t policed_ingress.6 { fd00:18::2 : goto group.1.ingress }
add element inet foredeck-t resumed_ingress.6 { fd00:18::2 : jump back.group.1.ingress }
`);
	expect(renderPolicyChange("t", model, before)).toBe(`delete element inet foredeck-t peer.lock.0.2 { 172.18.0.3 }
delete element inet foredeck-t policed_egress { 172.18.0.2 : goto group.1.egress }
delete element inet foredeck-t resumed_egress { 172.18.0.2 : jump back.group.1.egress }
delete element inet foredeck-t policed_ingress { 172.18.0.2 : goto group.1.ingress }
delete element inet foredeck-t resumed_ingress { 172.18.0.2 : jump back.group.1.ingress }
delete element inet foredeck-t peer.lock.0.2.6 { fd00:18::3 }
delete element inet foredeck-t policed_egress.6 { fd00:18::2 : goto group.1.egress }
delete element inet foredeck-t resumed_egress.6 { fd00:18::2 : jump back.group.1.egress }
delete element inet foredeck-t policed_ingress.6 { fd00:18::2 : goto group.1.ingress }
delete element inet foredeck-t resumed_ingress.6 { fd00:18::2 : jump back.group.1.ingress }
delete chain inet foredeck-t group.1.egress
delete chain inet foredeck-t back.group.1.egress
delete chain inet foredeck-t group.1.ingress
delete chain inet foredeck-t back.group.1.ingress
`);
});

test("the first policies come with the hooks; the last go with the whole table, and one name has one meaning", () => {
	expect(renderPolicyChange("t", NO_POLICIES, model)).toBe(renderPolicies("t", model, nothing));
	expect(renderPolicyChange("t", model, NO_POLICIES)).toBeUndefined();
	const changed = { ...model, policies: model.policies.map((one) => ({ ...one, denies: [] })) };
	expect(renderPolicyChange("t", model, changed)).toBeUndefined();
});

test("a policy that changes comes under another name, and takes the old one's chains, sets and counters away", () => {
	const next = renamed(model, new Map([["lock", "lock/2"]]));
	const text = renderPolicyChange("t", model, next) ?? "";
	expect(text).toContain(`	counter default.lock/2.egress {`);
	expect(text).toContain(`	set peer.lock/2.0.2.6 {`);
	expect(text).toContain(`	chain drop.lock/2.egress {
		limit rate 20/second burst 40 packets log prefix "lock egress egress" group 16500 snaplen 128
		counter name "default.lock/2.egress"
`);
	expect(text).not.toContain("name.abc {");
	expect(
		text.slice(text.indexOf("}\ndelete") + 2),
	).toBe(`delete element inet foredeck-t policed_egress { 172.18.0.2 : goto group.1.egress }
add element inet foredeck-t policed_egress { 172.18.0.2 : goto group.1.egress/2 }
delete element inet foredeck-t resumed_egress { 172.18.0.2 : jump back.group.1.egress }
add element inet foredeck-t resumed_egress { 172.18.0.2 : jump back.group.1.egress/2 }
delete element inet foredeck-t policed_ingress { 172.18.0.2 : goto group.1.ingress }
add element inet foredeck-t policed_ingress { 172.18.0.2 : goto group.1.ingress/2 }
delete element inet foredeck-t resumed_ingress { 172.18.0.2 : jump back.group.1.ingress }
add element inet foredeck-t resumed_ingress { 172.18.0.2 : jump back.group.1.ingress/2 }
delete element inet foredeck-t policed_egress.6 { fd00:18::2 : goto group.1.egress }
add element inet foredeck-t policed_egress.6 { fd00:18::2 : goto group.1.egress/2 }
delete element inet foredeck-t resumed_egress.6 { fd00:18::2 : jump back.group.1.egress }
add element inet foredeck-t resumed_egress.6 { fd00:18::2 : jump back.group.1.egress/2 }
delete element inet foredeck-t policed_ingress.6 { fd00:18::2 : goto group.1.ingress }
add element inet foredeck-t policed_ingress.6 { fd00:18::2 : goto group.1.ingress/2 }
delete element inet foredeck-t resumed_ingress.6 { fd00:18::2 : jump back.group.1.ingress }
add element inet foredeck-t resumed_ingress.6 { fd00:18::2 : jump back.group.1.ingress/2 }
delete chain inet foredeck-t group.1.egress
delete chain inet foredeck-t back.group.1.egress
delete chain inet foredeck-t group.1.ingress
delete chain inet foredeck-t back.group.1.ingress
delete chain inet foredeck-t deny.lock.egress
delete chain inet foredeck-t allow.lock.egress
delete chain inet foredeck-t back.deny.lock.egress
delete chain inet foredeck-t deny.lock.ingress
delete chain inet foredeck-t allow.lock.ingress
delete chain inet foredeck-t back.deny.lock.ingress
delete chain inet foredeck-t drop.lock.1
delete chain inet foredeck-t drop.lock.egress
delete set inet foredeck-t peer.lock.0.2
delete set inet foredeck-t peer.lock.0.2.6
delete counter inet foredeck-t rule.lock.0
delete counter inet foredeck-t rule.lock.1
delete counter inet foredeck-t rule.lock.2
delete counter inet foredeck-t default.lock.egress
`);
});

test("an address is learned anew whether it is there or not, in one transaction", () => {
	const name = { set: "name.abc", local: "172.18.0.2", remote: "192.0.2.1", seconds: 29.1 };
	const forgotten = `add element inet foredeck-t name.abc { 172.18.0.2 . 192.0.2.1 }
delete element inet foredeck-t name.abc { 172.18.0.2 . 192.0.2.1 }
`;
	expect(renderForgotten("t", [name])).toBe(forgotten);
	expect(renderLearned("t", [name])).toBe(
		`${forgotten}add element inet foredeck-t name.abc { 172.18.0.2 . 192.0.2.1 timeout 30s }\n`,
	);
});

test("an instance's packet log group is its own, and none of the low ones that others take", () => {
	const groups = ["fd", "t", "lab1", "lab2", "a-longer-one"].map(logGroupOf);
	expect(new Set(groups).size).toBe(groups.length);
	for (const group of groups) {
		expect(group).toBeGreaterThanOrEqual(0x4000);
		expect(group).toBeLessThan(0x10000);
	}
});

test("whom the relay speaks for is not the host, and may be anybody of IPv6 that is denied", () => {
	const rule = { index: 0, direction: "ingress", protocols: [], ports: [] } as const;
	const host = { ...rule, action: "allow", peers: [{ kind: "host" }] } as const;
	expect(matches(host)).toEqual([
		"ip saddr != 127.70.68.1 fib saddr type local ",
		"meta nfproto ipv6 fib saddr type local ",
	]);
	const six = [{ kind: "ranges", ranges: ["2001:db8::/32"] }] as const;
	expect(matches({ ...rule, action: "allow", peers: six })).toEqual(["ip6 saddr { 2001:db8::/32 } "]);
	expect(matches({ ...rule, action: "deny", peers: six })).toEqual([
		"ip6 saddr { 2001:db8::/32 } ",
		"ip saddr 127.70.68.1 ",
	]);
});
