import type { NetworkConfig, NetworkRow } from "../../store/networks.ts";
import type { NetworkSettings, PublishedPort } from "../containers/record.ts";
import type { Elsewhere, SubjectEndpoint } from "../policy/policy.ts";

/** A sandbox is one network namespace with its interfaces, addresses, published ports and resolver. */
export interface Sandboxes {
	/** Prepares the networks and the firewall; `keep` are the sandboxes that live on over a daemon restart: everything else of this instance is swept. */
	open(keep: readonly { containerId: string; settings: NetworkSettings }[]): Promise<void>;
	/** A namespace joined to the networks, ports published, resolver listening. "not-found" for a network that is not there, "conflict"/"internal" in docker's words when a port is taken (`driver failed programming external connectivity on endpoint NAME (ID): Bind for 0.0.0.0:80 failed: port is already allocated`). Leaves nothing on error. */
	join(request: JoinRequest): Promise<NetworkSettings>;
	/** Frees ports, addresses, namespace. Safe to repeat. */
	leave(containerId: string): Promise<void>;
	/** Another network for a sandbox on bridge networks, while it runs. The default route and published ports follow where the new network is first choice. Leaves nothing on error. */
	attach(containerId: string, endpoint: EndpointRequest): Promise<NetworkSettings>;
	/** Takes a sandbox off a network. undefined when it has none (any more) or is not on it. */
	detach(containerId: string, networkId: string): Promise<NetworkSettings | undefined>;
	/** The networks of a sandbox, its way out first. */
	networksOf(
		containerId: string,
	): readonly { readonly id: string; readonly name: string; readonly internal: boolean; readonly alone: boolean }[];
	/** "conflict" when a policy is about this container and not about the one whose sandbox it is to share. */
	checkShared(containerId: string, ownerId: string): void;
	/** What each running container has of networks. */
	members(): readonly SandboxMember[];
	/** All networks, for `docker network ls/inspect` and info. */
	networks(): readonly NetworkRecord[];
	/** docker's name of a network's driver; undefined: there is no such network. */
	driverOf(networkId: string): string | undefined;
	/** Namespaces and interfaces on the host of all sandboxes there are, those made ahead of need too. */
	owned(): { readonly namespaces: readonly string[]; readonly links: readonly string[] };
	/** Tells that a network came or went: the firewall follows. */
	networksChanged(): void;
	close(): Promise<void>;
}

export interface SandboxMember {
	readonly containerId: string;
	readonly endpoints: readonly SubjectEndpoint[];
	/** Where policies do not hold. */
	readonly elsewhere: readonly Elsewhere[];
}

export interface JoinRequest {
	readonly containerId: string;
	readonly containerName: string;
	/** "bridge": on bridge networks, whichever. */
	readonly mode: "bridge" | "host" | "none";
	/** Of mode "bridge": the networks to join, at least one. Default: the predefined one. */
	readonly endpoints?: readonly EndpointRequest[];
	readonly ports: readonly PortRequest[];
	/** Written inside the namespace before the container starts: net.* only. */
	readonly sysctls: Record<string, string>;
}

/** One network that a container shall be on. */
export interface EndpointRequest {
	/** id or name */
	readonly network: string;
	/** A certain address; "forbidden" `Address already in use` when another has it. */
	readonly address?: string;
	/** The same of IPv6. */
	readonly address6?: string;
	/** Further addresses of the interface, of either family, that nobody keeps account of. */
	readonly linkLocal?: readonly string[];
	readonly macAddress?: string;
	/** The highest one's network is the way out; of equals the first by name. */
	readonly gwPriority?: number;
	/** Of this endpoint's interface: `ipv4/conf/IFNAME/log_martians`. */
	readonly sysctls?: Readonly<Record<string, string>>;
	/** The interface's name in the container; default: the first free ethN. */
	readonly linkName?: string;
}

/** hostPort 0: any free one; `hostPortEnd` for a range from which the first free one is taken. hostIp "" means every address, both families. */
export interface PortRequest {
	readonly protocol: PublishedPort["protocol"];
	readonly containerPort: number;
	readonly hostIp: string;
	readonly hostPort: number;
	readonly hostPortEnd?: number;
}

export interface NetworkRecord {
	readonly id: string;
	readonly name: string;
	readonly driver: NetworkRow["driver"];
	readonly created: string;
	readonly subnet?: string;
	readonly gateway?: string;
	/** fd00:1::/64, on a network with IPv6 */
	readonly subnet6?: string;
	readonly gateway6?: string;
	/** Linux interface, for a bridge. */
	readonly bridge?: string;
	/** What was asked at its creation; undefined for the predefined ones. */
	readonly config?: NetworkConfig;
	readonly endpoints: readonly {
		containerId: string;
		endpointId: string;
		name: string;
		mac: string;
		ip: string;
		prefixLength: number;
		/** fd00:1::2/64 */
		ipv6?: string;
	}[];
}

/** Serves 127.0.0.11 of one sandbox: dns implements it, sandboxes call it. Both return ports on 127.0.0.11 inside the namespace; `target` is redirected there. */
export interface SandboxResolver {
	listen(netnsPath: string, containerId: () => string | undefined): { udpPort: number; tcpPort: number; close(): void };
}
