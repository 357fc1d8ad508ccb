import type { Cidr } from "../../shared/cidr.ts";
import type { IpAddress } from "../../shared/ip.ts";

/** Network namespaces by path, and what is set inside them. All calls are synchronous. */
export interface NamespaceDriver {
	/** A new namespace with only lo, up but for `loopback` false. Throws when the path is taken; leaves nothing on failure. */
	create(path: string, loopback?: boolean): void;
	/** Safe to repeat. Its interfaces go with it, a little later. */
	remove(path: string): void;
	exists(path: string): boolean;
	/** Every namespace file in the directory, full paths. */
	list(directory: string): string[];
	/** net.* only; throws EngineError "invalid" naming the one refused by the kernel. */
	setSysctls(path: string, sysctls: Record<string, string>): void;
	/** Sends what goes to 127.0.0.11:53 inside the namespace to these ports there. `again` replaces what an earlier call set up; it costs 10 ms, for the kernel waits for all CPUs when rules go. */
	redirectResolver(path: string, ports: { udpPort: number; tcpPort: number }, again: boolean): void;
}

/** Bridges on this host, that sandboxes are connected to by interfaces of their own. All calls are synchronous but one. */
export interface NetworkDriver {
	/** Makes the bridge so: interface, address, sysctls. Tells its MAC. Refuses ("conflict") an interface of that name which is not ours. */
	open(bridge: BridgeSpec): { readonly mac: string };
	/** Makes sure of the interface whose wire endpoints share, and makes it where `make` says how. Refuses in docker's words a parent that is none. */
	openParent(parent: ParentSpec): void;
	/** An interface in the namespace with address and MAC, joined to the bridge. Leaves nothing on failure. */
	connect(path: string, endpoint: EndpointSpec): void;
	/** Makes the host's interface a port of the bridge again, where that was made anew, and of its group (shared/bridge-group.ts). */
	rejoin(bridge: string, link: string, isolated: boolean): void;
	/** Tells when others take away what open() made: the bridge, or its addresses, or set it down. */
	watch(onLoss: (bridge: string) => void): Disposable;
	/** Takes an endpoint out of the namespace, by its names there and on the host; one that is gone is as good. It has no use when this returns; for a quarter of a second a remnant shows, down and under another name. */
	disconnect(path: string, endpoint: Pick<EndpointSpec, "name" | "link">): void;
	/** For interfaces on the host whose namespace has been removed: they go with it, but what a program left unsent can keep a namespace for minutes. A little later those that are still there, and would answer for an address that is another's by then, are deleted. */
	seeOff(links: readonly string[]): void;
	/** The namespace's ways out, one a family at most. They replace those there were. */
	setDefaultRoutes(path: string, routes: readonly { readonly name: string; readonly gateway: IpAddress }[]): void;
	/** Names of the interfaces in the namespace. */
	interfaces(path: string): string[];
	/** Deletes what bears the mark and is not to be kept: interfaces on our bridges, and bridges. */
	sweep(mark: string, keepBridges: readonly string[], keepLinks: readonly string[]): void;
	/** Deletes the bridge. It cannot be used any more when this returns, and its name is free for open(); it is gone a quarter of a second later, together with others, which the promise tells. */
	remove(bridge: string): Promise<void>;
	/** Resolves when all that remove() and disconnect() took away is gone; hurries it. */
	settled(): Promise<void>;
	/** IPv4 networks that the host routes to or has an address in, those of these interfaces left out. */
	usedNetworks(except: readonly string[]): Cidr[];
	/** Takes a host port for as long as the hold lives. Throws EngineError "conflict" with the kernel's reason in lower-case words: `address already in use`. */
	holdPort(protocol: "tcp" | "udp" | "sctp", address: IpAddress, port: number): { release(): void };
	/** Whether the host has an interface of this name. */
	hasLink(name: string): boolean;
	/** Whether the host's kernel knows IPv6, and it is not switched off for it. */
	hasIpv6(): boolean;
	/** Whether the kernel has interfaces of this kind. */
	knows(kind: "ipvlan" | "macvlan"): boolean;
	/** Whether the kernel takes larger pieces of both families: Linux 6.3. */
	hasBigTcp(): boolean;
	/** First and last port that random publishing may take. */
	portRange(): { first: number; last: number };
}

/**
 * Takes what comes to ports of the host by IPv6 and passes it on where the kernel cannot: to containers without IPv6, and from ::1. It outlives the
 * daemon, and the connections that it carries do. While there is none (it is starting, or has died) ports count as open: it is told when it comes.
 */
export interface PortRelay {
	/** Opens and closes, in one go; connections by what closes end. Throws "conflict" with the kernel's reason, as holdPort does: nothing of `open` is open then. */
	change(open: readonly RelayedPort[], shut: readonly RelayedPort[]): Promise<void>;
	/** These and no others: what an earlier daemon left is taken over, connections go on. */
	keep(ports: readonly RelayedPort[]): void;
	/** Lets go; the ports stay open. */
	close(): void;
}

export interface RelayedPort {
	readonly protocol: "tcp" | "udp";
	readonly hostAddress: bigint;
	readonly hostPort: number;
	/** The container's, of either family. */
	readonly address: IpAddress;
	readonly port: number;
}

export interface BridgeSpec {
	/** interface name, at most 15 bytes */
	readonly name: string;
	/** Marks the interface as this instance's. */
	readonly alias: string;
	/** undefined: the host has no address on it */
	readonly gateway?: number;
	/** of `gateway` */
	readonly prefixLength?: number;
	/** undefined: no IPv6 on this bridge. `forward`: the host shall be its router. */
	readonly ipv6?: { readonly gateway?: bigint; readonly prefixLength: number; readonly forward: boolean };
	/** bytes; undefined: the kernel's */
	readonly mtu?: number;
	/** What is sent on it is handled in pieces of up to 192 KB instead of 64 (BIG TCP), where the kernel can: see hasBigTcp(). */
	readonly bigTcp?: boolean;
}

/** What endpoints on a wire hang on: an interface of the host's, or one made for the network, and taken down by remove(). */
export interface ParentSpec {
	readonly name: string;
	readonly alias: string;
	/** For the words of errors. */
	readonly driver: Wire["driver"];
	/** undefined: there is one, and it is not ours. */
	readonly make?: { readonly kind: "dummy" } | { readonly kind: "vlan"; readonly of: string; readonly id: number };
}

export interface EndpointSpec {
	/** The bridge to join; with `wire` the parent. */
	readonly bridge: string;
	/** interface on the host, at most 15 bytes; "" with `wire`, which has none */
	readonly link: string;
	/** Not joined to a bridge, but on the wire of the parent itself. */
	readonly wire?: Wire;
	/** interface in the namespace: eth0 */
	readonly name: string;
	/** Of each family at most one, at least one in all. */
	readonly addresses: readonly EndpointAddress[];
	readonly mac: string;
	/** The namespace has never had an interface but lo: saves looking for the new one. */
	readonly first?: boolean;
	/** How many the network has, this one included; default: not told. */
	readonly members?: number;
	/** Reaches the bridge itself but no other member, whatever the firewall says; with bridge-nf-call-iptables on, not even by a published port. */
	readonly isolated?: boolean;
	/** Of this interface, written before it is up: path below net/ with IFNAME for its name, as in `ipv4/conf/IFNAME/rp_filter`. */
	readonly sysctls?: Readonly<Record<string, string>>;
}

/** How endpoints share the wire of an interface: each with a MAC of its own, or (ipvlan) all with the parent's. */
export type Wire =
	| { readonly driver: "macvlan"; readonly mode: "bridge" | "private" | "vepa" | "passthru" }
	| {
			readonly driver: "ipvlan";
			readonly mode: "l2" | "l3" | "l3s";
			readonly flag: "bridge" | "private" | "vepa";
	  };

export interface EndpointAddress {
	readonly address: IpAddress;
	readonly prefixLength: number;
	/** Default route over it, set in the same go; 0 or 0n: straight out of the interface. */
	readonly gateway?: IpAddress;
}
