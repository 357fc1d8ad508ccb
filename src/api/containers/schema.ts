import type { ContainerConfig, HostConfig, MountRequest } from "../../engine/containers/config.ts";
import {
	boolean,
	type Decode,
	integer,
	isEffective,
	list,
	map,
	nullable,
	object,
	optional,
	refused,
	string,
	strings,
	unsupported,
} from "../body.ts";
import { invalid } from "../errors.ts";

const none = unsupported();
const emptyObject = object({});
const nullStrings = nullable(list(string()));
const set = map(emptyObject);

/** A healthcheck may only be switched off so far. */
const healthcheck: Decode<undefined> = (value, path) => {
	const test = object({ Test: nullStrings })(value, path).Test;
	if (isEffective(value) && test?.[0] !== undefined && test[0] !== "NONE") throw refused(path, value);
	return undefined;
};

const CONFIG = {
	Hostname: string(),
	Domainname: string(),
	User: string(),
	AttachStdin: boolean(),
	AttachStdout: boolean(),
	AttachStderr: boolean(),
	ExposedPorts: optional(set),
	Tty: boolean(),
	OpenStdin: boolean(),
	StdinOnce: boolean(),
	Env: list(string()),
	Cmd: nullable(strings),
	Image: string(),
	Volumes: nullable(set),
	WorkingDir: string(),
	Entrypoint: nullable(strings),
	Labels: map(string()),
	StopSignal: optional(string()),
	StopTimeout: optional(integer()),
	Healthcheck: healthcheck,
	ArgsEscaped: unsupported(),
	NetworkDisabled: none,
	MacAddress: none,
	OnBuild: none,
	Shell: none,
};

/** One of these words, refused by name otherwise; "" and absent give `fallback`. */
function oneOf<const T extends string>(allowed: readonly T[], fallback: T): Decode<T> {
	return (value, path) => {
		const text = string()(value, path);
		if (text === "") return fallback;
		const found = allowed.find((one) => one === text);
		if (found === undefined) throw refused(path, text);
		return found;
	};
}

/** A namespace mode: "private" is the default and stored as "". */
const namespaceMode =
	(...privates: string[]): Decode<string> =>
	(value, path) => {
		const text = string()(value, path);
		if (text === "host") return text;
		if (text === "" || privates.includes(text)) return "";
		throw refused(path, text);
	};

const networkMode: Decode<string> = (value, path) => {
	const text = string()(value, path);
	return text === "" || text === "default" ? "bridge" : text;
};

const POLICIES = ["no", "always", "unless-stopped", "on-failure"] as const;

const restartPolicy: Decode<HostConfig["RestartPolicy"]> = (value, path) => {
	const asked = object({ Name: string(), MaximumRetryCount: integer() })(value, path);
	const name = POLICIES.find((one) => one === (asked.Name || "no"));
	const count = asked.MaximumRetryCount;
	if (!name) {
		throw invalid(
			`invalid restart policy: unknown policy '${asked.Name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
		);
	}
	if (count !== 0 && name !== "on-failure") {
		throw invalid("invalid restart policy: maximum retry count can only be used with 'on-failure'");
	}
	if (count < 0) throw invalid("invalid restart policy: maximum retry count cannot be negative");
	return { Name: name, MaximumRetryCount: count };
};

const mountType: Decode<MountRequest["Type"]> = (value, path) => {
	const text = string()(value, path);
	if (text === "bind" || text === "tmpfs") return text;
	if (text === "") throw invalid(`invalid mount config: type must not be empty: ${path}`);
	throw refused(path, text);
};

const mount: Decode<MountRequest> = object({
	Type: mountType,
	Source: optional(string()),
	Target: string(),
	ReadOnly: optional(boolean()),
	Consistency: unsupported(["consistent", "cached", "delegated", "default"]),
	BindOptions: optional(
		object({
			Propagation: optional(string()),
			NonRecursive: optional(boolean()),
			CreateMountpoint: optional(boolean()),
			ReadOnlyNonRecursive: none,
			ReadOnlyForceRecursive: none,
		}),
	),
	VolumeOptions: none,
	ImageOptions: none,
	ClusterOptions: none,
	TmpfsOptions: optional(object({ SizeBytes: optional(integer()), Mode: optional(integer()), Options: none })),
});

const logConfig = object({ Type: oneOf(["json-file", "none"], "json-file"), Config: map(string()) });
const portBindings = map(nullable(list(object({ HostIp: string(), HostPort: string() }))));
const ulimit = object({ Name: string(), Hard: integer(), Soft: integer() });
const device = object({ PathOnHost: string(), PathInContainer: string(), CgroupPermissions: string("rwm") });

const consoleSize: Decode<[number, number]> = (value, path) => {
	const [rows = 0, columns = 0] = list(integer())(value, path);
	return [rows, columns];
};

const HOST_CONFIG = {
	Binds: nullStrings,
	Mounts: optional(list(mount)),
	Tmpfs: optional(map(string())),
	ContainerIDFile: string(),
	LogConfig: logConfig,
	NetworkMode: networkMode,
	PortBindings: portBindings,
	PublishAllPorts: boolean(),
	RestartPolicy: restartPolicy,
	AutoRemove: boolean(),
	CapAdd: nullable(strings),
	CapDrop: nullable(strings),
	Dns: nullStrings,
	DnsOptions: nullStrings,
	DnsSearch: nullStrings,
	ExtraHosts: nullStrings,
	GroupAdd: nullStrings,
	Privileged: boolean(),
	ReadonlyRootfs: boolean(),
	SecurityOpt: nullStrings,
	Sysctls: optional(map(string())),
	Init: optional(boolean()),
	ShmSize: integer(),
	Memory: integer(),
	MemoryReservation: integer(),
	MemorySwap: integer(),
	NanoCpus: integer(),
	CpuShares: integer(),
	CpuPeriod: integer(),
	CpuQuota: integer(),
	CpusetCpus: string(),
	CpusetMems: string(),
	PidsLimit: nullable(integer()),
	OomScoreAdj: integer(),
	Ulimits: nullable(list(ulimit)),
	Devices: nullable(list(device)),
	ConsoleSize: consoleSize,
	MaskedPaths: nullStrings,
	ReadonlyPaths: nullStrings,
	PidMode: namespaceMode("private"),
	IpcMode: namespaceMode("private", "shareable"),
	UTSMode: namespaceMode(),
	CgroupnsMode: namespaceMode("private"),
	BlkioWeight: none,
	BlkioWeightDevice: none,
	BlkioDeviceReadBps: none,
	BlkioDeviceWriteBps: none,
	BlkioDeviceReadIOps: none,
	BlkioDeviceWriteIOps: none,
	CgroupParent: none,
	Cgroup: none,
	CpuRealtimePeriod: none,
	CpuRealtimeRuntime: none,
	DeviceCgroupRules: none,
	DeviceRequests: none,
	KernelMemory: none,
	KernelMemoryTCP: none,
	MemorySwappiness: unsupported([-1]),
	OomKillDisable: none,
	CpuCount: none,
	CpuPercent: none,
	IOMaximumIOps: none,
	IOMaximumBandwidth: none,
	VolumeDriver: unsupported(["local"]),
	VolumesFrom: none,
	Annotations: none,
	Links: none,
	StorageOpt: none,
	UsernsMode: unsupported(["host"]),
	Runtime: unsupported(["crun", "runc", "io.containerd.runc.v2"]),
	Isolation: unsupported(["default"]),
};

const ENDPOINT = object({
	IPAMConfig: none,
	Links: none,
	Aliases: none,
	MacAddress: none,
	DriverOpts: none,
	GwPriority: none,
});

const decodeConfig: Decode<ContainerConfig> = object(CONFIG);

const CREATE = object({
	HostConfig: (value): HostConfig => object(HOST_CONFIG)(value, "HostConfig"),
	NetworkingConfig: (value) => object({ EndpointsConfig: map(ENDPOINT) })(value, "NetworkingConfig"),
});

/** The body of `POST /containers/create`: what the engine honours, the rest refused when it asks for something. */
export const decodeCreate: Decode<{ config: ContainerConfig; hostConfig: HostConfig }> = (value, path) => {
	const config = decodeConfig(value, path);
	const { HostConfig: hostConfig, NetworkingConfig: networking } = CREATE(value, path);
	for (const name of Object.keys(networking.EndpointsConfig)) {
		const same = (name === "default" ? "bridge" : name) === hostConfig.NetworkMode;
		if (!same)
			throw invalid(
				`NetworkingConfig.EndpointsConfig.${name} is not supported yet: NetworkMode is ${hostConfig.NetworkMode}`,
			);
	}
	if (hostConfig.AutoRemove && hostConfig.RestartPolicy.Name !== "no") {
		throw invalid("can't create 'AutoRemove' container with restart policy");
	}
	return { config, hostConfig };
};

/** Bodies of `POST /containers/{id}/start`: a HostConfig there went away with API 1.24. */
export const decodeEmpty = emptyObject;
