import type { Cidr } from "../../shared/cidr.ts";

/** Network namespaces by path, and what is set inside them. All calls are synchronous. */
export interface NamespaceDriver {
	/** A new namespace with only lo, up. Throws when the path is taken; leaves nothing on failure. */
	create(path: string): void;
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

/** A network on this host that sandboxes are connected to by an interface of their own. All calls are synchronous. */
export interface NetworkDriver {
	/** Makes the bridge so: interface, address, sysctls. Refuses an interface of that name which is not ours. */
	open(bridge: BridgeSpec): void;
	/** eth0 in the namespace, with address, default route and MAC, joined to the bridge. */
	connect(path: string, endpoint: EndpointSpec): void;
	/** Deletes interfaces on the bridge other than these. */
	sweep(keepLinks: readonly string[]): void;
	/** Deletes the bridge: for a daemon that leaves no container behind. */
	remove(): void;
	/** IPv4 networks that the host routes to or has an address in, those of the interface `except` left out. */
	usedNetworks(except: string): Cidr[];
	/** Takes a host port for as long as the hold lives. Throws EngineError "conflict" with the kernel's reason in lower-case words: `address already in use`. */
	holdPort(protocol: "tcp" | "udp", address: number, port: number): { release(): void };
	/** First and last port that random publishing may take. */
	portRange(): { first: number; last: number };
}

export interface BridgeSpec {
	/** interface name, at most 15 bytes */
	readonly name: string;
	/** Marks the interface as this instance's. */
	readonly alias: string;
	readonly gateway: number;
	readonly prefixLength: number;
}

export interface EndpointSpec {
	/** interface on the host, at most 15 bytes */
	readonly link: string;
	readonly address: number;
	readonly prefixLength: number;
	readonly gateway: number;
	readonly mac: string;
}
