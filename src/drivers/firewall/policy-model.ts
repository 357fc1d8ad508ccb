export type Direction = "egress" | "ingress";
export type Action = "allow" | "deny";
export type Protocol = "tcp" | "udp" | "icmp";

/** Everything that the policies' part of the instance's tables is drawn from. */
export interface PolicyModel {
	readonly policies: readonly PolicyRules[];
	/** Each combination of policies that a sandbox has, in a direction. */
	readonly groups: readonly PolicyGroup[];
	/** All sandboxes on bridges, those without policies too: nobody may send with another's address. Empty when there are no policies. */
	readonly sandboxes: readonly PolicedSandbox[];
	/** Addresses of the sandboxes that rules name, of both families, by the set's name. */
	readonly peers: ReadonlyMap<string, readonly string[]>;
	/** Bridges that sandboxes with policies are on: what passes inside them must come to the rules. */
	readonly bridges: readonly string[];
}

export interface PolicyRules {
	/** Letters, digits, `_` and `-`: it is part of names in the kernel. */
	readonly name: string;
	readonly rules: readonly RuleMatch[];
	/** Directions in which what no rule allows is denied. */
	readonly denies: readonly Direction[];
}

export interface RuleMatch {
	/** Its place in the policy's list, from 0. */
	readonly index: number;
	readonly action: Action;
	readonly direction: Direction;
	/** Alternatives; empty: whoever. */
	readonly peers: readonly PeerMatch[];
	/** Empty: every protocol, or tcp where there are ports. */
	readonly protocols: readonly Protocol[];
	/** `443`, `8000-8010`; empty: every port. */
	readonly ports: readonly string[];
}

/** The other end of a flow, with ports of its own where it has some. */
export type PeerMatch = { readonly ports?: readonly string[] } & (
	| { readonly kind: "ranges"; readonly ranges: readonly string[] }
	/** One of our sandboxes. */
	| { readonly kind: "sandboxes"; readonly set: string }
	/** An address that our resolver answered to this sandbox. */
	| { readonly kind: "name"; readonly set: string }
	/** The machine itself. */
	| { readonly kind: "host" }
);

export interface PolicyGroup {
	/** By what it is made of: the same policies, the same name. */
	readonly name: string;
	readonly direction: Direction;
	/** Names of policies. */
	readonly policies: readonly string[];
	/** The policy by whose default the rest is denied; undefined: it is allowed. */
	readonly deniedBy?: string;
}

export interface PolicedSandbox {
	/** Of both families. */
	readonly addresses: readonly string[];
	/** The host's ends of its cables. */
	readonly links: readonly string[];
	readonly egress?: string;
	readonly ingress?: string;
}

/** An address answered to a sandbox for a name that a rule has. */
export interface LearnedName {
	readonly set: string;
	/** The sandbox's address. */
	readonly local: string;
	readonly remote: string;
	readonly seconds: number;
}

/** How often a rule, or a policy's default, has decided since the policy came. */
export interface RuleCount {
	readonly policy: string;
	readonly rule: number | Direction;
	readonly packets: number;
	readonly bytes: number;
}

/** A packet that was denied. Rule: its number, or the direction for the policy's default. */
export interface DeniedPacket {
	readonly policy: string;
	readonly rule: number | Direction;
	readonly direction: Direction;
	readonly source: string;
	readonly destination: string;
	/** `tcp`, `udp`, `icmp`, or its number */
	readonly protocol: string;
	readonly port?: number;
}

/** A running flow by its real ends: who began it, and who answers, whatever addresses are translated between. */
export interface FlowEnds {
	readonly client: string;
	readonly server: string;
	/** The end is an address of the machine itself. */
	readonly clientIsHost: boolean;
	readonly serverIsHost: boolean;
	/** `tcp`, `udp`, `icmp`, or its number */
	readonly protocol: string;
	/** The server's own. */
	readonly port?: number;
}

export const NO_POLICIES: PolicyModel = { policies: [], groups: [], sandboxes: [], peers: new Map(), bridges: [] };
