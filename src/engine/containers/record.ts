import type { ContainerConfig, HostConfig } from "./config.ts";

/** One stored container: identity, what was asked, what should be, and the last known state. */
export interface ContainerRecord {
	readonly id: string;
	/** Without the leading slash. */
	name: string;
	/** RFC 3339 nano */
	readonly created: string;
	/** `sha256:...` of the image. */
	readonly imageId: string;
	readonly imageChain: readonly string[];
	readonly path: string;
	readonly args: readonly string[];
	readonly config: ContainerConfig;
	readonly hostConfig: HostConfig;
	state: ContainerState;
	restartCount: number;
	/** Set by stop and kill: "always" then waits for the next daemon start, "unless-stopped" for a start. */
	stoppedByUser: boolean;
	/** What the sandbox got at the last start; after the run only which networks it was on, absent before. */
	network?: NetworkSettings;
	/** The networks it shall be on, in docker's order; absent: the one of NetworkMode alone. */
	readonly networks?: readonly EndpointConfig[];
	/** What is mounted into it, decided at create; absent in rows of the first version. */
	readonly mounts?: readonly MountPoint[];
	/** It is being removed with its anonymous volumes. */
	removeVolumes?: boolean;
	/** Of a container with a health check, once it has been started. */
	readonly health?: Health;
	/** Exec ids that exist now. */
	readonly execIds: readonly string[];
}

/** One mount: what inspect shows, and what a start needs beyond that. HostConfig.Tmpfs is none of them, as docker has it. */
export interface MountPoint {
	readonly type: "bind" | "volume" | "tmpfs" | "image";
	/** The volume's name, or the image as it was asked for. */
	readonly name?: string;
	/** A host path, the volume's directory, the image's topmost layer; "" for tmpfs. */
	readonly source: string;
	/** Clean and absolute. */
	readonly target: string;
	/** As the client wrote it; "z" for a named volume without one. */
	readonly mode: string;
	readonly readonly: boolean;
	/** Of binds and images; "" else. */
	readonly propagation: string;
	/** bind: without what is mounted below the source. */
	readonly nonRecursive?: boolean;
	/** What lies below a read-only mount: writable on request, else read-only where the kernel can, or must be. */
	readonly submounts?: "writable" | "force-readonly";
	/** bind: made when it is missing, as docker does for -v but not for --mount. */
	readonly createSource?: boolean;
	/** tmpfs: for the kernel. */
	readonly options?: readonly string[];
	/** volume, image: a part of it. */
	readonly subpath?: string;
	/** volume: made up for this container, and gone with `rm -v`. */
	readonly anonymous?: boolean;
	/** volume: by Config.Volumes alone, for which a file in its place is an error. */
	readonly declared?: boolean;
	/** volume: takes the image's content while empty. */
	readonly copy?: boolean;
	/** volume: how it is made when there is none. */
	readonly create?: {
		readonly driver?: string;
		readonly options?: Readonly<Record<string, string>>;
		readonly labels?: Readonly<Record<string, string>>;
	};
	readonly image?: { readonly id: string; readonly chain: readonly string[] };
}

export type ContainerState =
	| { readonly status: "created"; readonly error?: string; readonly exitCode?: number; readonly finishedAt?: undefined }
	| {
			readonly status: "running" | "paused";
			readonly pid: number;
			readonly startedAt: string;
			/** Of the run before. */
			readonly finishedAt?: string;
	  }
	| ({ readonly status: "restarting" } & Ended)
	| ({ readonly status: "exited" } & Ended)
	| ({ readonly status: "removing" | "dead" } & Partial<Ended>);

export interface Health {
	readonly status: "starting" | "healthy" | "unhealthy";
	/** Failures in a row. */
	readonly failingStreak: number;
	/** The last five, oldest first. */
	readonly log: readonly ProbeResult[];
}

export interface ProbeResult {
	/** RFC 3339 nano */
	readonly start: string;
	readonly end: string;
	/** -1: it could not be run or took too long */
	readonly exitCode: number;
	readonly output: string;
}

export interface Ended {
	readonly exitCode: number;
	readonly oomKilled: boolean;
	readonly startedAt: string;
	readonly finishedAt: string;
	readonly error?: string;
}

/** Where a container stands on its networks; the shape that inspect's NetworkSettings is drawn from. */
export interface NetworkSettings {
	/** /run/.../netns/ID; undefined for host mode */
	readonly sandboxPath?: string;
	readonly sandboxId: string;
	readonly endpoints: readonly EndpointSettings[];
	readonly ports: readonly PublishedPort[];
}

/** What a client asked of one network of a container. */
export interface EndpointConfig {
	/** As the client named it at create; the network's name from then on when it was found. */
	readonly networkName: string;
	readonly aliases?: readonly string[];
	readonly links?: readonly string[];
	readonly ipamConfig?: {
		readonly IPv4Address?: string;
		readonly IPv6Address?: string;
		readonly LinkLocalIPs?: readonly string[];
	};
	readonly macAddress?: string;
	readonly driverOpts?: Readonly<Record<string, string>>;
	readonly gwPriority?: number;
}

export interface EndpointSettings {
	/** docker's name: bridge, host, none */
	readonly networkName: string;
	readonly networkId: string;
	readonly endpointId: string;
	readonly macAddress?: string;
	readonly ipAddress?: string;
	readonly prefixLength?: number;
	readonly gateway?: string;
	readonly ipv6Address?: string;
	readonly ipv6PrefixLength?: number;
	readonly ipv6Gateway?: string;
	/** Interface in the container and its other end on the host; absent in rows of the first version. */
	readonly link?: string;
	readonly hostLink?: string;
	readonly gwPriority?: number;
}

export interface PublishedPort {
	readonly protocol: "tcp" | "udp" | "sctp";
	readonly containerPort: number;
	/** "0.0.0.0", "::", or an address of the host */
	readonly hostIp: string;
	/** 0: no port of the host, the container's own address is reached (routed networks) */
	readonly hostPort: number;
}
