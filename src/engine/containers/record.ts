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
	/** Exec ids that exist now. */
	readonly execIds: readonly string[];
}

export type ContainerState =
	| { readonly status: "created"; readonly error?: string; readonly exitCode?: number }
	| { readonly status: "running" | "paused"; readonly pid: number; readonly startedAt: string }
	| ({ readonly status: "restarting" } & Ended)
	| ({ readonly status: "exited" } & Ended)
	| ({ readonly status: "removing" | "dead" } & Partial<Ended>);

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

export interface EndpointSettings {
	/** docker's name: bridge, host, none */
	readonly networkName: string;
	readonly networkId: string;
	readonly endpointId: string;
	readonly macAddress?: string;
	readonly ipAddress?: string;
	readonly prefixLength?: number;
	readonly gateway?: string;
}

export interface PublishedPort {
	readonly protocol: "tcp" | "udp";
	readonly containerPort: number;
	/** "0.0.0.0", "::", or an address of the host */
	readonly hostIp: string;
	readonly hostPort: number;
}
