import { RELAY_SOURCE } from "../../shared/relay-source.ts";
import { FAMILIES, familyOf, ipField, setOfFamily } from "./address-family.ts";
import type { Direction, PeerMatch, RuleMatch } from "./policy-model.ts";
import { plainName } from "./policy-versions.ts";

/** Denied packets that are told of, per rule: a flood costs no more than this. */
const LOG_LIMIT = "limit rate 20/second burst 40 packets";
/** Of a denied packet, what is told of: two headers, with room for a few of IPv6's extensions. */
const LOGGED_BYTES = 128;

/** The group of packet log that denied packets are told to: one of the upper three quarters, by the instance's name. */
export function logGroupOf(instance: string): number {
	let hash = 0;
	for (const char of instance) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 0xc000;
	return 0x4000 + hash;
}

/** The chain that judges by the same rules what comes the other way. */
export function back(chain: string): string {
	return `back.${chain}`;
}

/**
 * A way to be denied. A connection that was running is told so (the sender's end is reset), for its programs would wait for long; who tries to begin one
 * hears nothing.
 */
export function dropChain(instance: string, policy: string, rule: number | Direction, direction: Direction): string {
	const log = `log prefix "${plainName(policy)} ${rule} ${direction}" group ${logGroupOf(instance)} snaplen ${LOGGED_BYTES}`;
	const counter = typeof rule === "number" ? `rule.${policy}.${rule}` : `default.${policy}.${rule}`;
	return `	chain drop.${policy}.${rule} {
		${LOG_LIMIT} ${log}
		counter name "${counter}"
		tcp flags & (syn | rst) == 0 reject with tcp reset
		drop
	}
`;
}

/** Whether it says something of TCP. */
export function isOfTcp({ protocols }: RuleMatch): boolean {
	return protocols.length === 0 || protocols.includes("tcp");
}

/** What comes before the verdict: one text for each alternative, "" or with a blank at its end. `isBack`: of the server's segments, sent to the client. */
export function matches(rule: RuleMatch, isBack = false): string[] {
	const way = wayOf(rule, isBack);
	if (rule.peers.length === 0) return [spaced(serviceMatch(rule, rule.ports, isBack))];
	return rule.peers.flatMap((peer) => {
		const service = spaced(serviceMatch(rule, peer.ports ?? rule.ports, isBack));
		return peerMatches(peer, rule, way).map((match) => spaced(match) + service);
	});
}

const spaced = (text: string): string => (text === "" ? "" : `${text} `);

/** Where in the packet the two ends are. */
interface Way {
	readonly local: "saddr" | "daddr";
	readonly remote: "saddr" | "daddr";
	/** undefined: any interface will do. */
	readonly link?: "iifname" | "oifname";
}

/** To be allowed, peers must be on our bridges: from elsewhere, their addresses are forged. To be denied, they may be anywhere. */
function wayOf({ direction, action }: RuleMatch, isBack: boolean): Way {
	const outwards = (direction === "egress") !== isBack;
	const link = action === "allow" ? ({ link: outwards ? "oifname" : "iifname" } as const) : {};
	return outwards ? { local: "saddr", remote: "daddr", ...link } : { local: "daddr", remote: "saddr", ...link };
}

/** One text for each family that the peer is of. */
function peerMatches(peer: PeerMatch, { direction, action }: RuleMatch, { local, remote, link }: Way): string[] {
	const isIngress = direction === "ingress";
	const isDeniedIngress = isIngress && action === "deny";
	switch (peer.kind) {
		case "ranges":
			return FAMILIES.flatMap((family) => {
				const own = peer.ranges.filter((range) => familyOf(range) === family);
				const match = own.length > 0 ? [`${ipField(family, remote)} { ${own.join(", ")} }`] : [];
				// Whom the relay speaks for is not seen: it may be one of these.
				return family === 6 && own.length > 0 && isDeniedIngress ? [...match, `ip ${remote} ${RELAY_SOURCE}`] : match;
			});
		case "sandboxes":
			return FAMILIES.map((family) => {
				const match = `${ipField(family, remote)} @${setOfFamily(peer.set, family)}`;
				return link ? `${link} @bridges ${match}` : match;
			});
		case "name":
			return FAMILIES.map(
				(family) => `${ipField(family, local)} . ${ipField(family, remote)} @${setOfFamily(peer.set, family)}`,
			);
		case "host":
			if (!isIngress) return [`fib ${remote} type local`];
			return [`ip ${remote} != ${RELAY_SOURCE} fib ${remote} type local`, `meta nfproto ipv6 fib ${remote} type local`];
	}
}

function serviceMatch({ protocols }: RuleMatch, ports: readonly string[], isBack: boolean): string {
	if (protocols.length === 0 && ports.length === 0) return "";
	// Ports alone are those of tcp.
	const known = (protocols.length === 0 ? ["tcp"] : protocols).flatMap((one) =>
		one === "icmp" ? ["icmp", "ipv6-icmp"] : [one],
	);
	const protocol = `meta l4proto ${oneOf(known)}`;
	return ports.length === 0 ? protocol : `${protocol} th ${isBack ? "sport" : "dport"} ${oneOf(ports)}`;
}

function oneOf(texts: readonly string[]): string {
	return texts.length === 1 ? texts.join() : `{ ${texts.join(", ")} }`;
}
