import { bridgeGroupOf } from "../../shared/bridge-group.ts";
import { formatIpv6, ipv6Bytes, parseIpv6 } from "../../shared/ip.ts";
import { linkLocalOf } from "../../shared/mac.ts";
import { ofFamily } from "./address-family.ts";
import type { PolicedSandbox } from "./policy-model.ts";
import { type GuardedEnd, tableNameOf } from "./ruleset.ts";
import { setText } from "./set-text.ts";

export interface BridgeModel {
	readonly ends: readonly GuardedEnd[];
	/** All sandboxes on bridges; undefined: there are no policies. */
	readonly policed?: readonly PolicedSandbox[];
}

/** Elements by the set's name. */
type BridgeSets = ReadonlyMap<string, Set<string>>;

/**
 * What the address of a packet cannot be trusted for without it: a table of the bridge family, where the cable that a frame comes by is known.
 *
 * - forged: on its bridge nobody sends with a MAC or address that the engine gave to another, or to the host, nor claims it by ARP or neighbour discovery.
 *   What the engine knows nothing of passes: addresses that containers share among themselves (VRRP), interfaces and bridges that they make, what they
 *   route. Nearly every frame is found in `own` and asked no more; group 0 is not ours. A tag of VLAN 0 is taken off by who receives it, twice too:
 *   protocols are asked of the kernel, which has taken off the first (`ether type` would see the tag), and a second one does not pass.
 * - with policies, nobody sends with the address of a sandbox of another network either, and a sandbox that has some with none but its own.
 * - strays: to a sandbox whose policies speak of what comes in, frames come at its own addresses alone. What goes to many (broadcast, multicast), to a
 *   link-local address or by another protocol has no address by which rules could know whom it is for.
 *
 * ct is not asked here, for the kernel may be without nf_conntrack_bridge: what passes inside a bridge comes to `forward` by br_netfilter.
 */
export function bridgeTable(instance: string, model: BridgeModel): string {
	const sets = [...bridgeSets(model)].map(([name, elements]) =>
		setText("set", name, BRIDGE_SETS[name] ?? POLICY_SETS[name] ?? "", [...elements]),
	);
	const policed = model.policed !== undefined;
	return `table ${bridgeTableOf(instance)} {
${sets.join("")}${policed ? OWN : ""}	chain forged {
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
${policed ? ANYWHERE : ""}	}
${policed ? STRAYS : ""}}
`;
}

const OWN = `	chain own {
		ether type ip iifname . ip saddr @own_addresses accept
		ether type arp iifname . arp saddr ip @own_addresses accept
		ether type arp arp saddr ip 0.0.0.0 accept
		icmpv6 type nd-neighbor-advert iifname . @th,64,128 @claims accept
		icmpv6 type nd-neighbor-advert @th,64,16 & 0xffc0 == 0xfe80 accept
		icmpv6 type nd-neighbor-advert drop
		icmpv6 type { nd-neighbor-solicit, mld-listener-report, mld-listener-done, mld2-listener-report } ip6 saddr { ::, fe80::/10 } accept
		ether type ip6 ip6 saddr != fe80::/10 iifname . ip6 saddr @own_addresses.6 accept
		drop
	}
`;

const ANYWHERE = `		iifname @policed goto own
		meta protocol ip ip saddr @anywhere iifname . ip saddr != @own_addresses drop
		meta protocol arp arp saddr ip @anywhere iifname . arp saddr ip != @own_addresses drop
		meta protocol ip6 ip6 saddr @anywhere.6 iifname . ip6 saddr != @own_addresses.6 drop
		meta protocol ip6 icmpv6 type nd-neighbor-advert @th,64,128 @claimed_anywhere iifname . @th,64,128 != @claims drop
`;

const STRAYS = `	chain strays {
		type filter hook postrouting priority -300; policy accept;
		oifname != @shut accept
		ether type ip oifname . ip daddr @own_addresses accept
		ether type ip6 ip6 daddr != fe80::/10 oifname . ip6 daddr @own_addresses.6 accept
		ether type arp accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept
		drop
	}
`;

export function bridgeTableOf(instance: string): string {
	return `bridge ${tableNameOf(instance)}`;
}

/** Commands that take the bridge table away; the other goes with the whole table. */
export function renderBridgeRemoval(instance: string): string {
	const table = bridgeTableOf(instance);
	return `table ${table}\ndelete table ${table}\n`;
}

/** The target of a neighbour advertisement (RFC 4861 4.4) has no name in nft before 1.0.7: 16 bytes, 8 behind the header's beginning. */
const BRIDGE_SETS: Readonly<Record<string, string>> = {
	own: "type ifname . ether_addr . ipv4_addr",
	"own.6": "type ifname . ether_addr . ipv6_addr",
	macs: "type devgroup . ether_addr",
	own_macs: "type ifname . ether_addr",
	addresses: "type devgroup . ipv4_addr",
	"addresses.6": "type devgroup . ipv6_addr",
	own_addresses: "type ifname . ipv4_addr",
	"own_addresses.6": "type ifname . ipv6_addr",
	claimed: "typeof iifgroup . @th,64,128",
	claims: "typeof iifname . @th,64,128",
};

/** Beside them, with policies. */
const POLICY_SETS: Readonly<Record<string, string>> = {
	policed: "type ifname",
	shut: "type ifname",
	anywhere: "type ipv4_addr",
	"anywhere.6": "type ipv6_addr",
	claimed_anywhere: "typeof @th,64,128",
};

function bridgeSets({ ends, policed }: BridgeModel): BridgeSets {
	const names = Object.keys({ ...BRIDGE_SETS, ...(policed && POLICY_SETS) });
	const sets = new Map(names.map((name) => [name, new Set<string>()]));
	const put = ([set, element]: Element) => void sets.get(set)?.add(element);
	for (const end of ends) for (const element of elementsOf(end)) put(element);
	for (const sandbox of policed ?? []) for (const element of policedElements(sandbox)) put(element);
	return sets;
}

/** By the set's name. */
export type Element = readonly [set: string, element: string];

/** What one end puts into the sets. */
export function* elementsOf({ bridge, link, mac, addresses }: GuardedEnd): Iterable<Element> {
	const group = bridgeGroupOf(bridge);
	const [four, global] = [ofFamily(addresses, 4), ofFamily(addresses, 6)];
	const six = global.length > 0 ? [...global, formatIpv6(linkLocalOf(mac))] : [];
	yield ["macs", `${group} . ${mac}`];
	for (const address of four) yield ["addresses", `${group} . ${address}`];
	for (const address of six) yield ["addresses.6", `${group} . ${address}`];
	for (const address of six) yield ["claimed", `${group} . ${hexOf(address)}`];
	if (link === undefined) return;
	const cable = JSON.stringify(link);
	yield ["own_macs", `${cable} . ${mac}`];
	for (const address of four) yield ["own", `${cable} . ${mac} . ${address}`];
	// By the other no traffic comes and goes that is worth a short way, and none that policies would let pass.
	for (const address of global) yield ["own.6", `${cable} . ${mac} . ${address}`];
	yield* ownElements([link], [...four, ...six]);
}

/** Any address of a sandbox on any of its cables: which one it takes on its way out is its own affair. */
export function* policedElements({ links, addresses, egress, ingress }: PolicedSandbox): Iterable<Element> {
	yield* ownElements(links, addresses);
	for (const link of egress || ingress ? links : []) yield ["policed", JSON.stringify(link)];
	for (const link of ingress ? links : []) yield ["shut", JSON.stringify(link)];
	for (const address of ofFamily(addresses, 4)) yield ["anywhere", address];
	for (const address of ofFamily(addresses, 6)) yield ["anywhere.6", address];
	for (const address of ofFamily(addresses, 6)) yield ["claimed_anywhere", hexOf(address)];
}

function* ownElements(links: readonly string[], addresses: readonly string[]): Iterable<Element> {
	for (const link of links.map((one) => JSON.stringify(one))) {
		for (const address of ofFamily(addresses, 4)) yield ["own_addresses", `${link} . ${address}`];
		for (const address of ofFamily(addresses, 6)) {
			yield ["own_addresses.6", `${link} . ${address}`];
			yield ["claims", `${link} . ${hexOf(address)}`];
		}
	}
}

function hexOf(address: string): string {
	return `0x${Buffer.from(ipv6Bytes(parseIpv6(address) ?? 0n)).toString("hex")}`;
}
