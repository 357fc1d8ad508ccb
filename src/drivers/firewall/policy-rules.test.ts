import { expect, test } from "bun:test";
import type { PolicyModel } from "./policy-model.ts";
import { NO_POLICIES } from "./policy-model.ts";
import { logGroupOf, renderForgotten, renderLearned, renderPolicies, renderPolicyChange } from "./policy-rules.ts";

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
		{ addresses: ["172.18.0.2"], links: ["veth1"], egress: "group.1.egress", ingress: "group.1.ingress" },
		{ addresses: ["172.18.0.3", "172.19.0.3"], links: ["veth2", "veth3"] },
	],
	peers: new Map([["peer.lock.0.2", ["172.18.0.3"]]]),
	bridges: ["br-1"],
};

test("without policies there is nothing", () => {
	expect(renderPolicies("t", NO_POLICIES, nothing)).toBe("");
	expect(renderPolicyChange("t", NO_POLICIES, NO_POLICIES)).toBe("");
});

test("the whole part: counters, sets, chains of a policy, the group that a sandbox is sent to, and the table of bridges", () => {
	const carried = {
		counters: new Map([["rule.lock.0", { packets: 7, bytes: 420 }]]),
		names: [{ set: "name.abc", local: "172.18.0.2", remote: "192.0.2.1", seconds: 41.2 }],
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
	map policed_ingress {
		type ipv4_addr : verdict
		elements = { 172.18.0.2 : goto group.1.ingress }
	}
	chain drop.lock.1 {
		limit rate 20/second burst 40 packets log prefix "lock 1 egress" group 16500 snaplen 64
		counter name "rule.lock.1" drop
	}
	chain drop.lock.egress {
		limit rate 20/second burst 40 packets log prefix "lock egress egress" group 16500 snaplen 64
		counter name "default.lock.egress" drop
	}
	chain deny.lock.egress {
		fib daddr type local goto drop.lock.1
	}
	chain allow.lock.egress {
		ip saddr . ip daddr @name.abc meta l4proto { tcp, udp } th dport 443 counter name "rule.lock.0" accept
		ip daddr { 10.0.0.0-10.0.255.255, 10.2.0.0-10.255.255.255 } meta l4proto { tcp, udp } th dport { 53, 8000-8010 } counter name "rule.lock.0" accept
		oifname @bridges ip daddr @peer.lock.0.2 meta l4proto { tcp, udp } th dport { 53, 8000-8010 } counter name "rule.lock.0" accept
	}
	chain deny.lock.ingress {
	}
	chain allow.lock.ingress {
		meta l4proto icmp counter name "rule.lock.2" accept
	}
	chain group.1.egress {
		jump deny.lock.egress
		jump allow.lock.egress
		goto drop.lock.egress
	}
	chain group.1.ingress {
		jump deny.lock.ingress
		jump allow.lock.ingress
		accept
	}
	chain policy_egress {
		type filter hook forward priority filter - 20; policy accept;
		ct state established,related accept
		ip saddr vmap @policed_egress
	}
	chain policy_ingress {
		type filter hook forward priority filter - 10; policy accept;
		ct state established,related accept
		ip daddr vmap @policed_ingress
	}
	chain policy_egress_host {
		type filter hook input priority filter - 10; policy accept;
		iifname != @bridges accept
		ct state established,related accept
		ip saddr vmap @policed_egress
	}
	chain policy_ingress_host {
		type filter hook output priority filter - 10; policy accept;
		ct state established,related accept
		ip daddr vmap @policed_ingress
	}
}
table bridge foredeck-t {
	set links {
		type ifname
		elements = { "veth1", "veth2", "veth3" }
	}
	set policed {
		type ifname
		elements = { "veth1" }
	}
	set addresses {
		type ipv4_addr
		elements = { 172.18.0.2, 172.18.0.3, 172.19.0.3 }
	}
	set own {
		type ifname . ipv4_addr
		elements = { "veth1" . 172.18.0.2, "veth2" . 172.18.0.3, "veth2" . 172.19.0.3, "veth3" . 172.18.0.3, "veth3" . 172.19.0.3 }
	}
	chain own {
		ether type ip iifname . ip saddr @own accept
		ether type arp iifname . arp saddr ip @own accept
		ether type arp arp saddr ip 0.0.0.0 accept
		drop
	}
	chain forged {
		type filter hook prerouting priority -300; policy accept;
		iifname @policed goto own
		iifname @links ip saddr @addresses iifname . ip saddr != @own drop
		iifname @links arp saddr ip @addresses iifname . arp saddr ip != @own drop
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
	chain group.1.ingress {
		jump deny.lock.ingress
		jump allow.lock.ingress
		accept
	}
}
add element inet foredeck-t peer.lock.0.2 { 172.18.0.3 }
add element inet foredeck-t policed_egress { 172.18.0.2 : goto group.1.egress }
add element inet foredeck-t policed_ingress { 172.18.0.2 : goto group.1.ingress }
add element bridge foredeck-t links { "veth1" }
add element bridge foredeck-t policed { "veth1" }
add element bridge foredeck-t addresses { 172.18.0.2 }
add element bridge foredeck-t own { "veth1" . 172.18.0.2 }
`);
	expect(renderPolicyChange("t", model, before)).toBe(`delete element inet foredeck-t peer.lock.0.2 { 172.18.0.3 }
delete element inet foredeck-t policed_egress { 172.18.0.2 : goto group.1.egress }
delete element inet foredeck-t policed_ingress { 172.18.0.2 : goto group.1.ingress }
delete element bridge foredeck-t links { "veth1" }
delete element bridge foredeck-t policed { "veth1" }
delete element bridge foredeck-t addresses { 172.18.0.2 }
delete element bridge foredeck-t own { "veth1" . 172.18.0.2 }
delete chain inet foredeck-t group.1.egress
delete chain inet foredeck-t group.1.ingress
`);
});

test("other rules need a table that is whole", () => {
	expect(renderPolicyChange("t", NO_POLICIES, model)).toBeUndefined();
	const changed = { ...model, policies: model.policies.map((one) => ({ ...one, denies: [] })) };
	expect(renderPolicyChange("t", model, changed)).toBeUndefined();
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
