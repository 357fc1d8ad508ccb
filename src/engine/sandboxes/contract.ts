import type { NetworkSettings, PublishedPort } from "../containers/record.ts";

/** A sandbox is one network namespace with its interfaces, addresses, published ports and resolver. */
export interface Sandboxes {
	/** Prepares the predefined networks and the firewall; `keep` are the sandboxes that live on over a daemon restart: everything else of this instance is swept. */
	open(keep: readonly { containerId: string; settings: NetworkSettings }[]): Promise<void>;
	/** A namespace joined to the network, ports published, resolver listening. "conflict"/"internal" in docker's words when a port is taken (`driver failed programming external connectivity on endpoint NAME (ID): Bind for 0.0.0.0:80 failed: port is already allocated`). Leaves nothing on error. */
	join(request: JoinRequest): Promise<NetworkSettings>;
	/** Frees ports, address, namespace. Safe to repeat. */
	leave(containerId: string): Promise<void>;
	/** The predefined networks, for `docker network ls/inspect` and info. */
	networks(): readonly NetworkRecord[];
	close(): Promise<void>;
}

export interface JoinRequest {
	readonly containerId: string;
	readonly containerName: string;
	readonly mode: "bridge" | "host" | "none";
	readonly ports: readonly PortRequest[];
	/** Written inside the namespace before the container starts: net.* only. */
	readonly sysctls: Record<string, string>;
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
	readonly driver: "bridge" | "host" | "null";
	readonly created: string;
	readonly subnet?: string;
	readonly gateway?: string;
	/** Linux interface, for a bridge. */
	readonly bridge?: string;
	readonly endpoints: readonly {
		containerId: string;
		endpointId: string;
		name: string;
		mac: string;
		ip: string;
		prefixLength: number;
	}[];
}

/** Serves 127.0.0.11 of one sandbox: dns implements it, sandboxes call it. Both return ports on 127.0.0.11 inside the namespace; `target` is redirected there. */
export interface SandboxResolver {
	listen(netnsPath: string, containerId: () => string | undefined): { udpPort: number; tcpPort: number; close(): void };
}
