import type { KernelLimits } from "./kernel-limits.ts";

/**
 * What a client asked for, in docker's own words: these are stored as they came (image defaults merged into Config) and shown by inspect.
 * Only fields that the engine honours stand here; `api/containers/schema.ts` refuses every other one that has a value with an effect.
 */
export interface ContainerConfig {
	Hostname: string;
	Domainname: string;
	User: string;
	AttachStdin: boolean;
	AttachStdout: boolean;
	AttachStderr: boolean;
	ExposedPorts?: Record<string, object>;
	Tty: boolean;
	OpenStdin: boolean;
	StdinOnce: boolean;
	Env: string[];
	Cmd: string[] | null;
	Image: string;
	Volumes: Record<string, object> | null;
	WorkingDir: string;
	Entrypoint: string[] | null;
	Labels: Record<string, string>;
	/** Only "NONE" so far: none of the image's. */
	Healthcheck?: Healthcheck;
	StopSignal?: string;
	StopTimeout?: number;
	/** Means something on Windows alone. */
	ArgsEscaped?: boolean;
	/** A network namespace of its own with nothing in it. */
	NetworkDisabled?: boolean;
	/** The old place of the endpoint's on NetworkMode's network. */
	MacAddress?: string;
	/** Of an image that is built from the container, as Shell. */
	OnBuild?: string[] | null;
	Shell?: string[];
}

/** Durations in nanoseconds; what is absent has docker's default. */
export interface Healthcheck {
	/** ["NONE"], ["CMD", word, ...] or ["CMD-SHELL", command] */
	Test?: string[];
	Interval?: number;
	Timeout?: number;
	StartPeriod?: number;
	StartInterval?: number;
	Retries?: number;
}

export interface HostConfig extends KernelLimits {
	Binds: string[] | null;
	Mounts?: MountRequest[];
	Tmpfs?: Record<string, string>;
	/** `CONTAINER[:ro]` */
	VolumesFrom?: string[] | null;
	/** `CONTAINER[:ALIAS]`; only on the default network, others have theirs per endpoint. */
	Links?: string[] | null;
	/** For volumes of Binds and Config.Volumes. */
	VolumeDriver?: string;
	ContainerIDFile: string;
	LogConfig: { Type: "json-file" | "local" | "syslog" | "journald" | "none"; Config: Record<string, string> };
	/** "bridge" (and "default", stored as "bridge"), "host" or "none" */
	NetworkMode: string;
	PortBindings: Record<string, PortBinding[] | null> | null;
	PublishAllPorts: boolean;
	RestartPolicy: { Name: "no" | "always" | "unless-stopped" | "on-failure"; MaximumRetryCount: number };
	AutoRemove: boolean;
	CapAdd: string[] | null;
	CapDrop: string[] | null;
	Dns: string[] | null;
	DnsOptions: string[] | null;
	DnsSearch: string[] | null;
	ExtraHosts: string[] | null;
	GroupAdd: string[] | null;
	Privileged: boolean;
	ReadonlyRootfs: boolean;
	SecurityOpt: string[] | null;
	Sysctls?: Record<string, string>;
	Init?: boolean;
	ShmSize: number;
	/** bytes; 0: no limit */
	Memory: number;
	MemoryReservation: number;
	/** bytes of memory and swap together; -1 unlimited, 0: twice Memory */
	MemorySwap: number;
	NanoCpus: number;
	CpuShares: number;
	CpuPeriod: number;
	CpuQuota: number;
	CpusetCpus: string;
	CpusetMems: string;
	/** null or 0 or -1: no limit */
	PidsLimit: number | null;
	OomScoreAdj: number;
	Ulimits: { Name: string; Hard: number; Soft: number }[] | null;
	Devices: { PathOnHost: string; PathInContainer: string; CgroupPermissions: string }[] | null;
	/** rows, columns */
	ConsoleSize: [number, number];
	MaskedPaths: string[] | null;
	ReadonlyPaths: string[] | null;
	/** "" private, "host", "container:ID" (PidMode), "none" (IpcMode: no /dev/shm); IpcMode and CgroupnsMode are stored as "private" */
	PidMode: string;
	IpcMode: string;
	/** "host", which all containers have; "" the same. */
	UsernsMode?: string;
	UTSMode: string;
	CgroupnsMode: string;
	/** Taken and shown, without effect on Linux. */
	Isolation?: string;
	/** As the engine knows it; absent in a request: the default. A container is stored with it. */
	Runtime?: string;
	Cgroup?: string;
	CpuCount?: number;
}

export interface MountRequest {
	Type: "bind" | "volume" | "tmpfs" | "image";
	Source?: string;
	Target: string;
	ReadOnly?: boolean;
	/** Means nothing on Linux. */
	Consistency?: string;
	BindOptions?: {
		Propagation?: string;
		NonRecursive?: boolean;
		CreateMountpoint?: boolean;
		ReadOnlyNonRecursive?: boolean;
		ReadOnlyForceRecursive?: boolean;
	};
	VolumeOptions?: {
		NoCopy?: boolean;
		Labels?: Record<string, string>;
		Subpath?: string;
		DriverConfig?: { Name?: string; Options?: Record<string, string> };
	};
	ImageOptions?: { Subpath?: string };
	TmpfsOptions?: { SizeBytes?: number; Mode?: number; Options?: string[][] };
}

export interface PortBinding {
	HostIp: string;
	HostPort: string;
}

/** Of the limits that can change, none; of an update: all as they are. */
export const NO_LIMITS = {
	Memory: 0,
	MemoryReservation: 0,
	MemorySwap: 0,
	NanoCpus: 0,
	CpuShares: 0,
	CpuPeriod: 0,
	CpuQuota: 0,
	CpusetCpus: "",
	CpusetMems: "",
	PidsLimit: null,
} as const;

/** What a container gets that asks for nothing: no log, the default network. */
export const PLAIN_HOST: HostConfig = {
	Binds: null,
	ContainerIDFile: "",
	LogConfig: { Type: "none", Config: {} },
	NetworkMode: "default",
	PortBindings: null,
	PublishAllPorts: false,
	RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
	AutoRemove: false,
	CapAdd: null,
	CapDrop: null,
	Dns: null,
	DnsOptions: null,
	DnsSearch: null,
	ExtraHosts: null,
	GroupAdd: null,
	Privileged: false,
	ReadonlyRootfs: false,
	SecurityOpt: null,
	ShmSize: 0,
	...NO_LIMITS,
	OomScoreAdj: 0,
	Ulimits: null,
	Devices: null,
	ConsoleSize: [0, 0],
	MaskedPaths: null,
	ReadonlyPaths: null,
	PidMode: "",
	IpcMode: "",
	UTSMode: "",
	CgroupnsMode: "",
};
