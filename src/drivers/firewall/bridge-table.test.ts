import { expect, test } from "bun:test";
import { bridgeGroupOf } from "../../shared/bridge-group.ts";
import { BridgeGuard } from "./bridge-guard.ts";
import { bridgeTable } from "./bridge-table.ts";
import { NO_POLICIES } from "./policy-model.ts";
import type { GuardedEnd } from "./ruleset.ts";

const group = bridgeGroupOf("br-1");
const host = { bridge: "br-1", mac: "02:42:ac:12:00:01", addresses: ["172.18.0.1", "fd00:18::1"] };
const web = { bridge: "br-1", link: "veth1", mac: "02:42:ac:12:00:02", addresses: ["172.18.0.2", "fd00:18::2"] };
const four = { bridge: "br-1", link: "veth2", mac: "02:42:ac:12:00:03", addresses: ["172.18.0.3"] };
const policed = [
	{ addresses: ["172.18.0.2", "fd00:18::2"], links: ["veth1"], egress: "group.1.egress", ingress: "group.1.ingress" },
	{ addresses: ["172.18.0.3", "172.19.0.3"], links: ["veth2", "veth3"] },
];

test("the groups of bridges: never 0, which is everybody's, and another for each name", () => {
	const names = ["br-1", "br-2", "docker0", "fd0", "br-0123456789ab", "br-0123456789ac"];
	expect(new Set(names.map(bridgeGroupOf)).size).toBe(names.length);
	expect(names.map(bridgeGroupOf).every((one) => one > 0 && one < 2 ** 30)).toBe(true);
	expect(bridgeGroupOf("br-1")).toBe(group);
});

test("the table without policies: what the engine gave to sandboxes and the host, and nothing else, is guarded", () => {
	expect(bridgeTable("t", { ends: [host, web, four] })).toBe(`table bridge foredeck-t {
	set own {
		type ifname . ether_addr . ipv4_addr
		elements = { "veth1" . 02:42:ac:12:00:02 . 172.18.0.2, "veth2" . 02:42:ac:12:00:03 . 172.18.0.3 }
	}
	set own.6 {
		type ifname . ether_addr . ipv6_addr
		elements = { "veth1" . 02:42:ac:12:00:02 . fd00:18::2 }
	}
	set macs {
		type devgroup . ether_addr
		elements = { ${group} . 02:42:ac:12:00:01, ${group} . 02:42:ac:12:00:02, ${group} . 02:42:ac:12:00:03 }
	}
	set own_macs {
		type ifname . ether_addr
		elements = { "veth1" . 02:42:ac:12:00:02, "veth2" . 02:42:ac:12:00:03 }
	}
	set addresses {
		type devgroup . ipv4_addr
		elements = { ${group} . 172.18.0.1, ${group} . 172.18.0.2, ${group} . 172.18.0.3 }
	}
	set addresses.6 {
		type devgroup . ipv6_addr
		elements = { ${group} . fd00:18::1, ${group} . fe80::42:acff:fe12:1, ${group} . fd00:18::2, ${group} . fe80::42:acff:fe12:2 }
	}
	set own_addresses {
		type ifname . ipv4_addr
		elements = { "veth1" . 172.18.0.2, "veth2" . 172.18.0.3 }
	}
	set own_addresses.6 {
		type ifname . ipv6_addr
		elements = { "veth1" . fd00:18::2, "veth1" . fe80::42:acff:fe12:2 }
	}
	set claimed {
		typeof iifgroup . @th,64,128
		elements = { ${group} . 0xfd000018000000000000000000000001, ${group} . 0xfe800000000000000042acfffe120001, ${group} . 0xfd000018000000000000000000000002, ${group} . 0xfe800000000000000042acfffe120002 }
	}
	set claims {
		typeof iifname . @th,64,128
		elements = { "veth1" . 0xfd000018000000000000000000000002, "veth1" . 0xfe800000000000000042acfffe120002 }
	}
	chain forged {
		type filter hook prerouting priority -300; policy accept;
		meta protocol ip iifname . ether saddr . ip saddr @own accept
		meta protocol ip6 meta l4proto != icmpv6 iifname . ether saddr . ip6 saddr @own.6 accept
		iifgroup 0 accept
		meta protocol { 0x8100, 0x88a8 } @ll,112,16 & 0x0fff == 0 drop
		iifgroup . ether saddr @macs iifname . ether saddr != @own_macs drop
		meta protocol ip iifgroup . ip saddr @addresses iifname . ip saddr != @own_addresses drop
		meta protocol arp iifgroup . arp saddr ip @addresses iifname . arp saddr ip != @own_addresses drop
		meta protocol ip6 iifgroup . ip6 saddr @addresses.6 iifname . ip6 saddr != @own_addresses.6 drop
		meta protocol ip6 icmpv6 type nd-neighbor-advert iifgroup . @th,64,128 @claimed iifname . @th,64,128 != @claims drop
	}
}
`);
});

test("with policies: a policed sandbox sends its own alone, those of other networks are nobody else's, strays do not get in", () => {
	const text = bridgeTable("t", { ends: [host, web, four], policed });
	const [sets = "", chains = ""] = text.split("\tchain own {\n");
	expect(sets).toContain(`	set own_addresses {
		type ifname . ipv4_addr
		elements = { "veth1" . 172.18.0.2, "veth2" . 172.18.0.3, "veth2" . 172.19.0.3, "veth3" . 172.18.0.3, "veth3" . 172.19.0.3 }
	}
`);
	expect(sets.slice(sets.indexOf("\tset policed"))).toBe(`	set policed {
		type ifname
		elements = { "veth1" }
	}
	set shut {
		type ifname
		elements = { "veth1" }
	}
	set anywhere {
		type ipv4_addr
		elements = { 172.18.0.2, 172.18.0.3, 172.19.0.3 }
	}
	set anywhere.6 {
		type ipv6_addr
		elements = { fd00:18::2 }
	}
	set claimed_anywhere {
		typeof @th,64,128
		elements = { 0xfd000018000000000000000000000002 }
	}
`);
	expect(chains).toBe(`		ether type ip iifname . ip saddr @own_addresses accept
		ether type arp iifname . arp saddr ip @own_addresses accept
		ether type arp arp saddr ip 0.0.0.0 accept
		icmpv6 type nd-neighbor-advert iifname . @th,64,128 @claims accept
		icmpv6 type nd-neighbor-advert @th,64,16 & 0xffc0 == 0xfe80 accept
		icmpv6 type nd-neighbor-advert drop
		icmpv6 type { nd-neighbor-solicit, mld-listener-report, mld-listener-done, mld2-listener-report } ip6 saddr { ::, fe80::/10 } accept
		ether type ip6 ip6 saddr != fe80::/10 iifname . ip6 saddr @own_addresses.6 accept
		drop
	}
	chain forged {
		type filter hook prerouting priority -300; policy accept;
		meta protocol ip iifname . ether saddr . ip saddr @own accept
		meta protocol ip6 meta l4proto != icmpv6 iifname . ether saddr . ip6 saddr @own.6 accept
		iifgroup 0 accept
		meta protocol { 0x8100, 0x88a8 } @ll,112,16 & 0x0fff == 0 drop
		iifgroup . ether saddr @macs iifname . ether saddr != @own_macs drop
		meta protocol ip iifgroup . ip saddr @addresses iifname . ip saddr != @own_addresses drop
		meta protocol arp iifgroup . arp saddr ip @addresses iifname . arp saddr ip != @own_addresses drop
		meta protocol ip6 iifgroup . ip6 saddr @addresses.6 iifname . ip6 saddr != @own_addresses.6 drop
		meta protocol ip6 icmpv6 type nd-neighbor-advert iifgroup . @th,64,128 @claimed iifname . @th,64,128 != @claims drop
		iifname @policed goto own
		meta protocol ip ip saddr @anywhere iifname . ip saddr != @own_addresses drop
		meta protocol arp arp saddr ip @anywhere iifname . arp saddr ip != @own_addresses drop
		meta protocol ip6 ip6 saddr @anywhere.6 iifname . ip6 saddr != @own_addresses.6 drop
		meta protocol ip6 icmpv6 type nd-neighbor-advert @th,64,128 @claimed_anywhere iifname . @th,64,128 != @claims drop
	}
	chain strays {
		type filter hook postrouting priority -300; policy accept;
		oifname != @shut accept
		ether type ip oifname . ip daddr @own_addresses accept
		ether type ip6 ip6 daddr != fe80::/10 oifname . ip6 daddr @own_addresses.6 accept
		ether type arp accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept
		drop
	}
}
`);
});

test("ends come as elements, once; they go with the next change, but for what others have too", () => {
	const guard = new BridgeGuard();
	guard.add([four]);
	expect(guard.whole("t")).toContain('"veth2" . 02:42:ac:12:00:03 . 172.18.0.3');
	guard.stands();
	guard.add([four]);
	expect(guard.additions()).toBe("");
	// The next with the same addresses, by another cable; what goes meanwhile waits.
	const heir: GuardedEnd = { ...four, link: "veth9" };
	guard.drop([four]);
	guard.add([heir]);
	expect(guard.additions()).toBe(`add element bridge foredeck-t own_macs { "veth9" . 02:42:ac:12:00:03 }
add element bridge foredeck-t own { "veth9" . 02:42:ac:12:00:03 . 172.18.0.3 }
add element bridge foredeck-t own_addresses { "veth9" . 172.18.0.3 }
`);
	expect(guard.change()).toBe(`delete element bridge foredeck-t own_macs { "veth2" . 02:42:ac:12:00:03 }
delete element bridge foredeck-t own { "veth2" . 02:42:ac:12:00:03 . 172.18.0.3 }
delete element bridge foredeck-t own_addresses { "veth2" . 172.18.0.3 }
`);
	expect(guard.change()).toBe("");
	const network = { bridge: "br-1", internal: false, icc: true, masquerade: true, unprotected: false, host };
	guard.setNetworks([network]);
	guard.setPolicies(NO_POLICIES);
	expect(guard.change()).toContain(`add element bridge foredeck-t addresses { ${group} . 172.18.0.1 }\n`);
	guard.setNetworks([{ ...network, host: { ...host, mac: "02:42:ac:12:00:09" } }]);
	expect(guard.change()).toContain(`delete element bridge foredeck-t macs { ${group} . 02:42:ac:12:00:01 }\n`);
	guard.setNetworks([]);
	guard.drop([heir]);
	guard.drop([heir]);
	expect(guard.change()).toContain(
		`delete element bridge foredeck-t addresses { ${group} . 172.18.0.1, ${group} . 172.18.0.3 }\n`,
	);
	expect(guard.whole("t")).not.toContain("elements");
});
