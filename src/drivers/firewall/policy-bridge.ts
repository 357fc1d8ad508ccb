import { ipv6Bytes, parseIpv6 } from "../../shared/ip.ts";
import { ofFamily } from "./address-family.ts";
import type { PolicedSandbox } from "./policy-model.ts";
import { tableNameOf } from "./ruleset.ts";
import { elementChange, setText } from "./set-text.ts";

/**
 * What the address of a packet cannot be trusted for without it: a table of the bridge family, where the cable that a frame comes by is known.
 *
 * - forged: nobody sends with another sandbox's address, nor claims it by ARP or neighbour discovery; a sandbox with policies sends with none but its own.
 * - strays: to a sandbox whose policies speak of what comes in, frames come at its own addresses alone. What goes to many (broadcast, multicast), to a
 *   link-local address or by another protocol has no address by which rules could know whom it is for.
 *
 * ct is not asked here, for the kernel may be without nf_conntrack_bridge: what passes inside a bridge comes to `forward` by br_netfilter.
 */
export function bridgeTable(instance: string, sandboxes: readonly PolicedSandbox[]): string {
	const sets = [...bridgeSets(sandboxes)].map(([name, elements]) =>
		setText("set", name, BRIDGE_SETS[name] ?? "", elements),
	);
	return `table ${bridgeTableOf(instance)} {
${sets.join("")}	chain own {
		ether type ip iifname . ip saddr @own accept
		ether type arp iifname . arp saddr ip @own accept
		ether type arp arp saddr ip 0.0.0.0 accept
		icmpv6 type nd-neighbor-advert iifname . @th,64,128 @claims accept
		icmpv6 type nd-neighbor-advert @th,64,16 & 0xffc0 == 0xfe80 accept
		icmpv6 type nd-neighbor-advert drop
		icmpv6 type { nd-neighbor-solicit, mld-listener-report, mld-listener-done, mld2-listener-report } ip6 saddr { ::, fe80::/10 } accept
		ether type ip6 iifname . ip6 saddr @own.6 accept
		drop
	}
	chain forged {
		type filter hook prerouting priority -300; policy accept;
		iifname @policed goto own
		iifname @links ip saddr @addresses iifname . ip saddr != @own drop
		iifname @links arp saddr ip @addresses iifname . arp saddr ip != @own drop
		iifname @links ip6 saddr @addresses.6 iifname . ip6 saddr != @own.6 drop
		iifname @links icmpv6 type nd-neighbor-advert @th,64,128 @claimed iifname . @th,64,128 != @claims drop
	}
	chain strays {
		type filter hook postrouting priority -300; policy accept;
		oifname != @shut accept
		ether type ip oifname . ip daddr @own accept
		ether type ip6 oifname . ip6 daddr @own.6 accept
		ether type arp accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept
		drop
	}
}
`;
}

export function bridgeTableOf(instance: string): string {
	return `bridge ${tableNameOf(instance)}`;
}

/** Commands that take the bridge table away; the other goes with the whole table. */
export function renderBridgeRemoval(instance: string): string {
	const table = bridgeTableOf(instance);
	return `table ${table}\ndelete table ${table}\n`;
}

/** Commands that lead from the sandboxes of one model to those of the next. */
export function bridgeChange(
	instance: string,
	before: readonly PolicedSandbox[],
	after: readonly PolicedSandbox[],
): string {
	const [table, old] = [bridgeTableOf(instance), bridgeSets(before)];
	const changes = [...bridgeSets(after)].map(([set, elements]) =>
		elementChange(table, set, old.get(set) ?? [], elements),
	);
	return changes.join("");
}

/** The target of a neighbour advertisement (RFC 4861 4.4) has no name in nft before 1.0.7: 16 bytes, 8 behind the header's beginning. */
const BRIDGE_SETS: Readonly<Record<string, string>> = {
	links: "type ifname",
	policed: "type ifname",
	shut: "type ifname",
	addresses: "type ipv4_addr",
	"addresses.6": "type ipv6_addr",
	own: "type ifname . ipv4_addr",
	"own.6": "type ifname . ipv6_addr",
	claimed: "typeof @th,64,128",
	claims: "typeof iifname . @th,64,128",
};

/** Any address of a sandbox on any of its cables: which one it takes on its way out is its own affair. */
function bridgeSets(sandboxes: readonly PolicedSandbox[]): ReadonlyMap<string, readonly string[]> {
	const links = (some: readonly PolicedSandbox[]) =>
		some.flatMap((one) => one.links.map((link) => JSON.stringify(link)));
	const pairs = (ofOne: (one: PolicedSandbox) => readonly string[]) =>
		sandboxes.flatMap((one) =>
			one.links.flatMap((link) => ofOne(one).map((address) => `${JSON.stringify(link)} . ${address}`)),
		);
	const four = ({ addresses }: PolicedSandbox) => ofFamily(addresses, 4);
	const six = ({ addresses }: PolicedSandbox) => ofFamily(addresses, 6);
	const claims = (one: PolicedSandbox) => six(one).map(hexOf);
	return new Map([
		["links", links(sandboxes)],
		["policed", links(sandboxes.filter(({ egress, ingress }) => egress || ingress))],
		["shut", links(sandboxes.filter(({ ingress }) => ingress))],
		["addresses", sandboxes.flatMap(four)],
		["addresses.6", sandboxes.flatMap(six)],
		["own", pairs(four)],
		["own.6", pairs(six)],
		["claimed", sandboxes.flatMap(claims)],
		["claims", pairs(claims)],
	]);
}

function hexOf(address: string): string {
	return `0x${Buffer.from(ipv6Bytes(parseIpv6(address) ?? 0n)).toString("hex")}`;
}
