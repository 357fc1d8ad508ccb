import { formatIp, type IpAddress } from "../../shared/ip.ts";
import { ipv6Rules } from "./ipv6-rules.ts";
import { hostChains, modeForward, modeSets } from "./mode-rules.ts";

/** Everything that the instance's one nftables table is drawn from. */
export interface RulesetModel {
	readonly instance: string;
	readonly networks: readonly NetworkRules[];
	readonly ports: readonly PortForward[];
	/** Where the engine itself listens on the host: closed to containers. */
	readonly control?: readonly ControlAddress[];
}

/** address 0 stands for every address of the host, of both families. */
export interface ControlAddress {
	readonly protocol: "tcp" | "udp";
	readonly address: number;
	readonly port: number;
}

/** One bridge and what may pass it. */
export interface NetworkRules {
	readonly bridge: string;
	/** 172.17.0.0/16; undefined: no IPv4 on it. */
	readonly subnet?: string;
	/** Nothing leaves the bridge and nothing comes in, published ports included. */
	readonly internal: boolean;
	/** Members may talk to each other by more than published ports. */
	readonly icc: boolean;
	/** What leaves goes behind the host's address. */
	readonly masquerade: boolean;
	/** From elsewhere every port is reachable, not only published ones. */
	readonly unprotected: boolean;
	/** Leads to the internet and nowhere else; of the LAN only to these networks. */
	readonly outbound?: { readonly allowed: readonly string[] };
	/** undefined: no IPv6 on it. */
	readonly ipv6?: Ipv6Rules;
	/** The host itself there: see bridge-table.ts. */
	readonly host?: { readonly mac: string; readonly addresses: readonly string[] };
}

/** What holds of the other family; icc and internal hold of both. */
export interface Ipv6Rules {
	/** fd00:1::/64 */
	readonly subnet: string;
	readonly masquerade: boolean;
	readonly unprotected: boolean;
	/** The members' own addresses are known outside: they are pinged there. */
	readonly routed: boolean;
}

/** Both addresses are of one family, but for `relayed`. hostAddress 0 and 0n stand for every address of the host. */
export interface PortForward {
	readonly protocol: "tcp" | "udp" | "sctp";
	readonly hostAddress: IpAddress;
	readonly hostPort: number;
	readonly address: IpAddress;
	readonly port: number;
	/** The container's own address is reached at this port, no port of the host leads there: a routed network. */
	readonly direct?: boolean;
	/** Not translated: a process of the host listens there. It is for those outside; our containers, which it would lead past what keeps them apart, are refused. */
	readonly relayed?: boolean;
}

/** An interface on one of our bridges, and what the engine gave it: nobody else there may be it. */
export interface GuardedEnd {
	readonly bridge: string;
	/** The host's end of its cable; undefined: the bridge itself, which is the host. */
	readonly link?: string;
	readonly mac: string;
	/** Of both families; the link-local address that the MAC makes is meant too where there is one of IPv6. */
	readonly addresses: readonly string[];
}

export function tableNameOf(instance: string): string {
	return `foredeck-${instance}`;
}

export function tableOf(instance: string): string {
	return `inet ${tableNameOf(instance)}`;
}

/** Declared first, so that deleting it never fails for want of it. */
export function renderRemoval(instance: string): string {
	const table = tableOf(instance);
	return `table ${table}\ndelete table ${table}\n`;
}

/**
 * The whole table as nft text: replaces what stands there in one transaction, so applying twice equals once. What a rule needs to know of the networks
 * it looks up in a set: a packet's way is as long with 500 networks as with one.
 *
 * - guard: 127/8 belongs to lo. route_localnet on our bridges, and DNAT before routing, would otherwise let others reach ports published on 127.0.0.1;
 *   and what a container sends from there inside its bridge would be masqueraded: it would be the host.
 * - forward: inside a bridge all may talk where the network allows it (bridge-nf shows that traffic to this hook), but for who begins with an address of
 *   another network's, which would be masqueraded too (unless its connection is known: a container that routes); internal networks end here; from elsewhere, other bridges of ours included, only answers and published ports get in.
 *   The answer to a SYN is clamped too: what a sandbox sends is limited by what the other side takes, which knows nothing of a tunnel in between.
 * - postrouting: leaving by any other interface is masqueraded (the uplink's name does not matter: policy routing, VPN); a source in 127/8 or a sandbox
 *   that reaches a sibling by its published port is masqueraded too, or the answer would not pass here.
 */
export function renderRuleset(model: RulesetModel): string {
	const table = tableOf(model.instance);
	const six = ipv6Rules(model);
	return `table ${table}
delete table ${table}
table ${table} {
${setsOf(model.networks)}${modeSets(model)}	map published {
		type inet_proto . inet_service : ipv4_addr . inet_service
${elementsLine(model.ports, "published")}	}
	map published_at {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
${elementsLine(model.ports, "published_at")}	}
	set opened {
		type ipv4_addr . inet_proto . inet_service
${elementsLine(model.ports, "opened")}	}
${six.sets}	set relayed {
		type inet_proto . inet_service
${elementsLine(model.ports, "relayed")}	}
	set relayed_at {
		type ipv6_addr . inet_proto . inet_service
${elementsLine(model.ports, "relayed_at")}	}
	chain guard {
		type filter hook prerouting priority raw; policy accept;
		iifname != "lo" ip daddr 127.0.0.0/8 drop
		iifname != "lo" ip saddr 127.0.0.0/8 drop
	}
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @published_at
		fib daddr type local dnat ip to meta l4proto . th dport map @published
${six.translation}	}
	chain output {
		type nat hook output priority -100; policy accept;
		fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @published_at
		fib daddr type local dnat ip to meta l4proto . th dport map @published
${six.outputTranslation}	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct status & confirmed == 0 iifname . oifname @inside ip saddr @masqueraded ip saddr . oifname != @own drop
${six.inside}		iifname . oifname @inside accept
${modeForward(model)}		iifname @internal drop
		oifname @internal drop
		iifname @bridges tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
		oifname @bridges tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
		oifname @bridges ct state established,related accept
		oifname @bridges ct status dnat accept
		oifname @bridges ip daddr . meta l4proto . th dport @opened accept
		${six.sets === "" ? "" : "meta nfproto ipv4 "}iifname != @bridges oifname @unprotected accept
${six.forward}		oifname @bridges drop
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
		ip saddr . oifname @own ct status dnat masquerade
		ip saddr . oifname @own return
		ip saddr @masqueraded masquerade
${six.postrouting}	}
${hostChains(model)}}
`;
}

/** Commands that add these ports to the standing table. */
export function renderPublish(instance: string, ports: readonly PortForward[]): string {
	return ports.map((port) => `add element ${tableOf(instance)} ${setOf(port)} { ${elementOf(port)} }\n`).join("");
}

/** Commands that take them out again. */
export function renderUnpublish(instance: string, ports: readonly PortForward[]): string {
	return ports.map((port) => `delete element ${tableOf(instance)} ${setOf(port)} { ${keyOf(port)} }\n`).join("");
}

/** inside: pairs of interfaces between which traffic stays in a network; own: sources and the interface they are at home on. */
function setsOf(networks: readonly NetworkRules[]): string {
	const names = (chosen: readonly NetworkRules[]) => chosen.map(({ bridge }) => quoted(bridge));
	const inside = networks.filter(({ icc }) => icc).map(({ bridge }) => `${quoted(bridge)} . ${quoted(bridge)}`);
	const masqueraded = networks.flatMap(({ subnet, masquerade, internal }) =>
		subnet && masquerade && !internal ? [subnet] : [],
	);
	return [
		set("bridges", "ifname", names(networks)),
		set("inside", "ifname . ifname", inside),
		set("internal", "ifname", names(networks.filter(({ internal }) => internal))),
		set("unprotected", "ifname", names(networks.filter(({ unprotected }) => unprotected))),
		set(
			"own",
			"ipv4_addr . ifname",
			networks.flatMap(({ subnet, bridge }) => (subnet ? [`${subnet} . ${quoted(bridge)}`] : [])),
			"interval",
		),
		set("masqueraded", "ipv4_addr", masqueraded, "interval"),
	].join("");
}

export function set(name: string, type: string, elements: readonly string[], flags?: string): string {
	const flagsLine = flags ? `\t\tflags ${flags}\n` : "";
	const line = elements.length > 0 ? `\t\telements = { ${elements.join(", ")} }\n` : "";
	return `\tset ${name} {\n\t\ttype ${type}\n${flagsLine}${line}\t}\n`;
}

/** Names that were looked at: with hundreds of networks each is written thousands of times. */
const known = new Set<string>();
const MANY = 10_000;

/** nft knows no escapes in a string, and a star at its end stands for any name. */
export function quoted(name: string): string {
	if (known.has(name)) return `"${name}"`;
	if (!/^[\w.@+=~-]+$/.test(name)) throw new Error(`interface name ${JSON.stringify(name)} cannot stand in a ruleset`);
	if (known.size > MANY) known.clear();
	known.add(name);
	return `"${name}"`;
}

export function elementsLine(ports: readonly PortForward[], name: string): string {
	const own = ports.filter((port) => setOf(port) === name);
	return own.length > 0 ? `\t\telements = { ${own.map(elementOf).join(", ")} }\n` : "";
}

/** published, published_at, opened; of IPv6 published6 and so on; relayed, relayed_at. */
function setOf({ direct, relayed, hostAddress, address }: PortForward): string {
	if (relayed) return isAnyAddress(hostAddress) ? "relayed" : "relayed_at";
	const name = direct ? "opened" : isAnyAddress(hostAddress) ? "published" : "published_at";
	return typeof address === "bigint" ? `${name}6` : name;
}

export function isAnyAddress(address: IpAddress): boolean {
	return address === 0 || address === 0n;
}

function keyOf(port: PortForward): string {
	if (port.direct) return `${formatIp(port.address)} . ${port.protocol} . ${port.port}`;
	const key = `${port.protocol} . ${port.hostPort}`;
	return isAnyAddress(port.hostAddress) ? key : `${formatIp(port.hostAddress)} . ${key}`;
}

function elementOf(port: PortForward): string {
	return port.direct || port.relayed ? keyOf(port) : `${keyOf(port)} : ${formatIp(port.address)} . ${port.port}`;
}
