import { formatIpv4 } from "../../shared/ip.ts";

/** Everything that the instance's one nftables table is drawn from. */
export interface RulesetModel {
	readonly instance: string;
	readonly bridge: string;
	/** 172.17.0.0/16 */
	readonly subnet: string;
	readonly ports: readonly PortForward[];
}

/** hostAddress 0 stands for every address of the host. */
export interface PortForward {
	readonly protocol: "tcp" | "udp";
	readonly hostAddress: number;
	readonly hostPort: number;
	readonly address: number;
	readonly port: number;
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
 * The whole table as nft text: replaces what stands there in one transaction, so applying twice equals once.
 *
 * - guard: 127/8 belongs to lo. route_localnet on our bridge, and DNAT before routing, would otherwise let others reach ports published on 127.0.0.1.
 * - forward: inside the bridge all may talk (bridge-nf shows that traffic to this hook); from elsewhere only answers and published ports get in.
 * - postrouting: leaving by any other interface is masqueraded (the uplink's name does not matter: policy routing, VPN); a source in 127/8 or a sandbox
 *   that reaches a sibling by its published port is masqueraded too, or the answer would not pass here.
 */
export function renderRuleset(model: RulesetModel): string {
	const table = tableOf(model.instance);
	const { bridge, subnet } = model;
	const br = JSON.stringify(bridge);
	return `table ${table}
delete table ${table}
table ${table} {
	map published {
		type inet_proto . inet_service : ipv4_addr . inet_service
${elementsLine(model.ports.filter((port) => port.hostAddress === 0))}	}
	map published_at {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
${elementsLine(model.ports.filter((port) => port.hostAddress !== 0))}	}
	chain guard {
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
		iifname ${br} oifname != ${br} tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
		iifname ${br} oifname ${br} accept
		oifname ${br} ct state established,related accept
		oifname ${br} ct status dnat accept
		oifname ${br} drop
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname != ${br} ip saddr ${subnet} masquerade
		oifname ${br} ip saddr 127.0.0.0/8 masquerade
		oifname ${br} ip saddr ${subnet} ct status dnat masquerade
	}
}
`;
}

/** Commands that add these ports to the standing table. */
export function renderPublish(instance: string, ports: readonly PortForward[]): string {
	return ports
		.map((port) => `add element ${tableOf(instance)} ${mapOf(port)} { ${keyOf(port)} : ${targetOf(port)} }\n`)
		.join("");
}

/** Commands that take them out again. */
export function renderUnpublish(instance: string, ports: readonly PortForward[]): string {
	return ports.map((port) => `delete element ${tableOf(instance)} ${mapOf(port)} { ${keyOf(port)} }\n`).join("");
}

function elementsLine(ports: readonly PortForward[]): string {
	if (ports.length === 0) return "";
	return `\t\telements = { ${ports.map((port) => `${keyOf(port)} : ${targetOf(port)}`).join(", ")} }\n`;
}

function mapOf(port: PortForward): string {
	return port.hostAddress === 0 ? "published" : "published_at";
}

function keyOf(port: PortForward): string {
	const key = `${port.protocol} . ${port.hostPort}`;
	return port.hostAddress === 0 ? key : `${formatIpv4(port.hostAddress)} . ${key}`;
}

function targetOf(port: PortForward): string {
	return `${formatIpv4(port.address)} . ${port.port}`;
}
