/** What api asks about how the networks are, as opposed to how they were asked for. */
export interface NetworkInsight {
	/** Networks, running sandboxes, and who can begin a conversation with whom. */
	topology(): Topology;
	/** Tries it out from inside the sandbox. "not-found" for a container that is not there; what else is wrong stands in the report. */
	check(request: CheckRequest): Promise<CheckReport>;
	/** What is in the kernel, beside what the records say. */
	status(): NetworkStatus;
}

export interface Topology {
	readonly instance: string;
	readonly networks: readonly TopologyNetwork[];
	readonly sandboxes: readonly TopologySandbox[];
	/** Pairs that can talk; who is in none cannot. undefined with more than 200 sandboxes: too long to be of use. */
	readonly reach?: readonly Reach[];
}

export interface TopologyNetwork {
	readonly id: string;
	readonly name: string;
	readonly driver: string;
	readonly kind: "bridge" | "host" | "none";
	readonly mode?: string;
	readonly subnet?: string;
	readonly gateway?: string;
	/** Of IPv6. */
	readonly subnet6?: string;
	readonly gateway6?: string;
	readonly bridge?: string;
	/** Leads nowhere. */
	readonly internal: boolean;
	/** Members reach each other at all ports. */
	readonly icc: boolean;
	/** Leads to the internet alone, nothing comes in. */
	readonly outbound: boolean;
}

export interface TopologySandbox {
	/** Of the container. */
	readonly id: string;
	readonly name: string;
	/** Id of the container whose network it shares. */
	readonly owner?: string;
	readonly networks: readonly {
		readonly id: string;
		readonly name: string;
		readonly address?: string;
		readonly address6?: string;
		readonly mac?: string;
		readonly link?: string;
		readonly hostLink?: string;
	}[];
	readonly ports: readonly {
		readonly protocol: string;
		readonly containerPort: number;
		readonly hostIp: string;
		/** 0: none, the container's own address is reached */
		readonly hostPort: number;
	}[];
}

/** `from` and `to`: a container's name, `(host)` or `(internet)`. */
export interface Reach {
	readonly from: string;
	readonly to: string;
	/** "ports": only what is published. "internet": not into the LAN. */
	readonly how: "all" | "ports" | "internet";
	/** The network they share, or the one that is the way out. */
	readonly via: string;
	readonly ports?: readonly string[];
	/** What policies leave of it: `only by db rules[0]`, `not by never rules[1]`, `not over IPv6 on front`. Pairs of which they leave nothing are not there. */
	readonly limits?: readonly string[];
}

export interface CheckRequest {
	/** A container. */
	readonly from: string;
	/** A container, an address, or a name with a dot in it. */
	readonly to: string;
	/** Over this one alone; undefined: over each that both have, of which one must work. */
	readonly family?: 4 | 6;
	/** TCP; undefined: a ping is all that is asked for. */
	readonly port?: number;
}

export interface CheckReport {
	readonly from: string;
	readonly to: string;
	readonly port?: number;
	readonly ok: boolean;
	/** In the order they were done. */
	readonly steps: readonly CheckStep[];
	/** Why not, or that it works; for people. */
	readonly verdict: string;
}

export interface CheckStep {
	readonly name: "running" | "network" | "policy" | "name" | "neighbour" | "ping" | "path-mtu" | "tcp";
	/** "note": not as hoped, and not what the verdict hangs on. */
	readonly status: "ok" | "fail" | "note" | "skip";
	readonly detail: string;
}

/** What is done from inside one network namespace; each part is left out where it is not asked for. */
export interface ProbeRequest {
	/** Path of the namespace; undefined: the host's. */
	readonly namespace?: string;
	/** Asked of the sandbox's resolver. */
	readonly name?: string;
	/** undefined: the first address of the family that the name has. */
	readonly address?: string;
	/** Default: 4. */
	readonly family?: 4 | 6;
	/** Whether it is on the same link, and is to be found by ARP or neighbour discovery. */
	readonly onLink: boolean;
	/** Of the sandbox's interface, bytes. */
	readonly mtu?: number;
	readonly port?: number;
	/** Only tells who listens on `port` in this namespace. */
	readonly listenersOnly?: boolean;
}

/** An error is the errno's name. */
export interface ProbeResult {
	readonly dns?: { readonly addresses: readonly string[]; readonly rcode: number } | { readonly error: string };
	readonly neighbour?: { readonly mac: string } | { readonly error: string };
	readonly ping?: { readonly ms: number } | { readonly error: string };
	readonly pathMtu?: { readonly bytes: number } | { readonly error: string };
	readonly tcp?: { readonly ms: number } | { readonly error: string };
	readonly listeners?: readonly string[];
}

/** Does it in a process of its own, bounded in time. */
export type Prober = (request: ProbeRequest) => Promise<ProbeResult>;

export interface NetworkStatus {
	readonly bridges: readonly BridgeStatus[];
	readonly ports: readonly PortStatus[];
	/** What bears this instance's mark and no record owns. */
	readonly leaks: readonly Leak[];
	/** What a record owns and is not there, or not as it should be. */
	readonly faults: readonly string[];
}

export interface BridgeStatus {
	readonly name: string;
	readonly network: string;
	readonly up: boolean;
	readonly mtu: number;
	readonly sandboxes: number;
	/** Sums over its ports, as the sandboxes see them. */
	readonly sentBytes: number;
	readonly receivedBytes: number;
	readonly dropped: number;
	readonly errors: number;
}

export interface PortStatus {
	readonly container: string;
	readonly published: string;
	/** Whether the ruleset in the kernel has it. */
	readonly active: boolean;
}

export interface Leak {
	readonly kind: "interface" | "namespace" | "port" | "lease";
	readonly name: string;
}

/** What the kernel has of this instance. */
export interface NetworkObserver {
	links(): readonly ObservedLink[];
	/** Paths of namespace files in the instance's directory. */
	namespaces(): readonly string[];
	/** `tcp . 8080` or `10.0.0.1 . udp . 53` to `172.17.0.2 . 80`, of the instance's table, of IPv6 with `ip6 ` before it; undefined: there is no table. */
	forwards(): ReadonlyMap<string, string> | undefined;
}

export interface ObservedLink {
	readonly index: number;
	readonly name: string;
	readonly alias: string;
	readonly up: boolean;
	readonly mtu: number;
	readonly master?: number;
	readonly rxBytes: number;
	readonly txBytes: number;
	readonly errors: number;
	readonly dropped: number;
}
