import type { ContainerConfig, HostConfig, MountRequest } from "../../engine/containers/config.ts";
import type { EndpointConfig } from "../../engine/containers/record.ts";
import {
	boolean,
	type Decode,
	filled,
	integer,
	isEffective,
	list,
	map,
	mismatch,
	nullable,
	object,
	optional,
	refused,
	string,
	strings,
	unsigned,
	unsupported,
} from "../body.ts";
import { invalid } from "../errors.ts";
import { decodeEndpoint, type Endpoint } from "../networks/schema.ts";

/** `""` and `false` are left out, as Go does. */
const unlessEmpty =
	<T>(decode: Decode<T>): Decode<T | undefined> =>
	(value, path) =>
		decode(value, path) || undefined;
const emptyObject = object({});
const nullStrings = nullable(list(string()));
const set = map(emptyObject);

/** What says nothing is left out, as docker shows it. */
const healthcheck: Decode<ContainerConfig["Healthcheck"]> = (value, path) => {
	if (value === undefined || value === null) return undefined;
	const asked = object(HEALTHCHECK)(value, path);
	return Object.fromEntries(Object.entries(asked).filter(([, one]) => isEffective(one)));
};

const HEALTHCHECK = {
	Test: nullStrings,
	Interval: integer(),
	Timeout: integer(),
	StartPeriod: integer(),
	StartInterval: integer(),
	Retries: integer(),
};

const CONFIG = {
	Hostname: string(),
	Domainname: string(),
	User: string(),
	AttachStdin: boolean(),
	AttachStdout: boolean(),
	AttachStderr: boolean(),
	ExposedPorts: filled(set),
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
	StopSignal: unlessEmpty(string()),
	StopTimeout: optional(integer()),
	Healthcheck: healthcheck,
	ArgsEscaped: unlessEmpty(boolean()),
	NetworkDisabled: unlessEmpty(boolean()),
	MacAddress: unlessEmpty(string()),
	OnBuild: nullStrings,
	Shell: filled(strings),
};

/** A namespace mode: "host", or one of `words`; "" leaves it to the engine. "container:ID" is a mode that not every namespace has yet. */
const namespaceMode =
	(noun: string, ...words: (string | RegExp)[]): Decode<string> =>
	(value, path) => {
		const text = string()(value, path);
		const known = words.some((word) => (typeof word === "string" ? word === text : word.test(text)));
		if (text === "" || text === "host" || known) return text;
		if (/^container:./.test(text)) throw refused(path, text);
		throw invalid(`invalid ${noun}: ${text}`);
	};

const networkMode: Decode<string> = (value, path) => {
	const text = string()(value, path);
	if (text === "container") throw invalid("invalid network mode: invalid container format container:<name|id>");
	return text === "" || text === "default" ? "bridge" : text;
};

const POLICIES = ["no", "always", "unless-stopped", "on-failure"] as const;

export const restartPolicy: Decode<HostConfig["RestartPolicy"]> = (value, path) => {
	const asked = object({ Name: string(), MaximumRetryCount: integer() })(value, path);
	const name = POLICIES.find((one) => one === (asked.Name || "no"));
	const count = asked.MaximumRetryCount;
	if (!name) {
		throw invalid(
			`invalid restart policy: unknown policy '${asked.Name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
		);
	}
	if (count !== 0 && name !== "on-failure") {
		const also = count < 0 ? " and cannot be negative" : "";
		throw invalid(`invalid restart policy: maximum retry count can only be used with 'on-failure'${also}`);
	}
	if (count < 0) throw invalid("invalid restart policy: maximum retry count cannot be negative");
	return { Name: name, MaximumRetryCount: count };
};

const MOUNT_TYPES = ["bind", "volume", "tmpfs", "image"] as const;

const mountType: Decode<MountRequest["Type"]> = (value, path) => {
	const text = string()(value, path);
	const found = MOUNT_TYPES.find((one) => one === text);
	// npipe is Windows', cluster a swarm's
	if (found === undefined) throw invalid(`invalid mount config for type "${text}": mount type unknown`);
	return found;
};

/** Go's uint32. */
const fileMode: Decode<number> = (value, path) => {
	const mode = integer()(value, path);
	if (mode < 0) throw mismatch(value, path, "fs.FileMode", `number ${mode}`);
	return mode;
};

const flag = optional(boolean());
const words = optional(map(string()));

const mount: Decode<MountRequest> = object({
	Type: mountType,
	Source: optional(string()),
	Target: string(),
	ReadOnly: flag,
	Consistency: optional(string()),
	BindOptions: optional(
		object({
			Propagation: optional(string()),
			NonRecursive: flag,
			CreateMountpoint: flag,
			ReadOnlyNonRecursive: flag,
			ReadOnlyForceRecursive: flag,
		}),
	),
	VolumeOptions: optional(
		object({
			NoCopy: flag,
			Labels: words,
			Subpath: optional(string()),
			DriverConfig: optional(object({ Name: optional(string()), Options: words })),
		}),
	),
	ImageOptions: optional(object({ Subpath: optional(string()) })),
	TmpfsOptions: optional(
		object({ SizeBytes: optional(integer()), Mode: optional(fileMode), Options: optional(list(list(string()))) }),
	),
	// a swarm's
	ClusterOptions: unsupported(),
});

const LOG_DRIVERS = ["json-file", "local", "syslog", "journald", "none"] as const;

/** Any other name is a plugin's to dockerd. */
const logType: Decode<HostConfig["LogConfig"]["Type"]> = (value, path) => {
	const name = string()(value, path) || "json-file";
	const found = LOG_DRIVERS.find((one) => one === name);
	if (found) return found;
	throw invalid(`error looking up logging plugin ${name}: plugin ${JSON.stringify(name)} not found`);
};

const logConfig = object({ Type: logType, Config: map(string()) });
const portBindings = nullable(map(nullable(list(object({ HostIp: string(), HostPort: string() })))));
const ulimit = object({ Name: string(), Hard: integer(), Soft: integer() });
const device = object({ PathOnHost: string(), PathInContainer: string(), CgroupPermissions: string("rwm") });

const consoleSize: Decode<[number, number]> = (value, path) => {
	const [rows = 0, columns = 0] = list(unsigned(64))(value, path);
	return [rows, columns];
};

const runtimeName: Decode<string | undefined> = (value, path) => {
	const name = string()(value, path);
	return name === "" ? undefined : name;
};

const isolation: Decode<string | undefined> = (value, path) => {
	const name = string()(value, path);
	if (name === "") return undefined;
	if (name.toLowerCase() !== "default") throw invalid(`invalid isolation (${name}): linux only supports 'default'`);
	return name;
};

/** A limit of the writable layer's size needs quotas, which dockerd has on xfs alone. */
const storageOption: Decode<undefined> = (value, path) => {
	const [name] = Object.keys(map(string())(value, path));
	if (name === undefined) return undefined;
	if (name !== "size") throw invalid(`Unknown option ${name}`);
	throw invalid("--storage-opt is supported only for overlay over xfs with 'pquota' mount option");
};

const throttles = nullable(list(object({ Path: string(), Rate: unsigned(64) })));

/** Devices that a driver outside of the engine would make; there is none. Source: moby, Daemon.handleDevice. */
const deviceRequests: Decode<undefined> = (value, path) => {
	const [first] = list(DEVICE_REQUEST)(value, path);
	if (!first) return undefined;
	const sets = first.Capabilities.map((words) => `[${words.join(" ")}]`).join(" ");
	throw invalid(`could not select device driver ${JSON.stringify(first.Driver)} with capabilities: [${sets}]`);
};

const DEVICE_REQUEST = object({
	Driver: string(),
	Count: integer(),
	DeviceIDs: list(string()),
	Capabilities: list(list(string())),
	Options: map(string()),
});

/** Means something on Windows alone. */
const ofWindows =
	(what: string): Decode<undefined> =>
	(value, path) => {
		if (unsigned(64)(value, path) === 0) return undefined;
		throw invalid(`invalid option: QoS maximum ${what} configuration is not supported on linux`);
	};

const link: Decode<string> = (value, path) => {
	const text = string()(value, path);
	if (text === "") throw invalid("empty string specified for links");
	if (text.split(":").length > 2) throw invalid(`bad format for links: ${text}`);
	return text;
};

const annotations: Decode<Record<string, string>> = (value, path) => {
	const all = map(string())(value, path);
	if (Object.hasOwn(all, "")) {
		throw invalid("invalid Annotations: the empty string is not permitted as an annotation key");
	}
	return all;
};

const ignored =
	(decode: Decode<unknown>): Decode<undefined> =>
	(value, path) => {
		decode(value, path);
		return undefined;
	};

const HOST_CONFIG = {
	Binds: nullStrings,
	Mounts: filled(list(mount)),
	Tmpfs: filled(map(string())),
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
	Sysctls: filled(map(string())),
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
	PidMode: namespaceMode("PID mode", /^container:./),
	IpcMode: namespaceMode("IPC mode", "private", "shareable", "none", /^container:/),
	UTSMode: namespaceMode("UTS mode"),
	CgroupnsMode: namespaceMode("cgroup namespace mode", "private"),
	BlkioWeight: unsigned(16),
	BlkioWeightDevice: nullable(list(object({ Path: string(), Weight: unsigned(16) }))),
	BlkioDeviceReadBps: throttles,
	BlkioDeviceWriteBps: throttles,
	BlkioDeviceReadIOps: throttles,
	BlkioDeviceWriteIOps: throttles,
	CgroupParent: string(),
	// Without effect since links of cgroups went.
	Cgroup: unlessEmpty(string()),
	CpuRealtimePeriod: integer(),
	CpuRealtimeRuntime: integer(),
	DeviceCgroupRules: nullStrings,
	DeviceRequests: deviceRequests,
	// No kernel since 5.16 has it; docker takes and forgets it.
	KernelMemory: ignored(integer()),
	KernelMemoryTCP: unlessEmpty(integer()),
	MemorySwappiness: nullable(integer()),
	OomKillDisable: boolean(),
	CpuCount: unlessEmpty(integer()),
	CpuPercent: unlessEmpty(integer()),
	IOMaximumIOps: ofWindows("IOPs"),
	IOMaximumBandwidth: ofWindows("bandwidth"),
	VolumeDriver: string(),
	VolumesFrom: nullStrings,
	Annotations: filled(annotations),
	Links: nullable(list(link)),
	StorageOpt: storageOption,
	UsernsMode: namespaceMode("user namespace mode"),
	Runtime: runtimeName,
	Isolation: isolation,
};

const decodeConfig: Decode<ContainerConfig> = object(CONFIG);
const endpoint: Decode<Endpoint> = (value, path) => {
	if (value !== null) return decodeEndpoint(value, path);
	throw invalid(`invalid config for network ${path.replace(/^.*?EndpointsConfig\./, "")}: EndpointsConfig is nil`);
};

const CREATE = object({
	HostConfig: (value): HostConfig => object(HOST_CONFIG)(value, "HostConfig"),
	NetworkingConfig: (value) => object({ EndpointsConfig: map(endpoint) })(value, "NetworkingConfig"),
});

/** The body of `POST /containers/create`: what the engine honours, the rest refused when it asks for something. */
export const decodeCreate: Decode<{
	config: ContainerConfig;
	hostConfig: HostConfig;
	networks: readonly EndpointConfig[];
}> = (value, path) => {
	if (!isEffective(value)) throw invalid("config cannot be empty in order to create a container");
	const config = decodeConfig(value, path);
	const { HostConfig: hostConfig, NetworkingConfig: networking } = CREATE(value, path);
	if (hostConfig.AutoRemove && hostConfig.RestartPolicy.Name !== "no") {
		throw invalid("can't create 'AutoRemove' container with restart policy");
	}
	const endpoints = withLinks(networking.EndpointsConfig, hostConfig);
	return { config, hostConfig, networks: networksOf(endpoints, hostConfig.NetworkMode, config.MacAddress ?? "") };
};

/** Of the host config's links dockerd honours those on the default network; Compose repeats those of other networks per endpoint. */
function withLinks(asked: Record<string, Endpoint>, { Links, NetworkMode }: HostConfig): Record<string, Endpoint> {
	if (!Links?.length || NetworkMode !== "bridge") return asked;
	const { default: bridge = {}, ...others } = asked;
	return { ...others, bridge: { ...bridge, ...asked.bridge, links: Links } };
}

/** The old field for a MAC address is that of NetworkMode's network. */
function networksOf(
	asked: Record<string, Endpoint>,
	networkMode: string,
	macAddress: string,
): readonly EndpointConfig[] {
	const named = Object.entries(asked).map(([name, one]) => ({
		...one,
		networkName: name === "default" ? "bridge" : name,
	}));
	if (macAddress === "") return named;
	const main = named.find(({ networkName }) => networkName === networkMode) ?? { networkName: networkMode };
	if (main.macAddress !== undefined && main.macAddress.toLowerCase() !== macAddress.toLowerCase()) {
		throw invalid(
			"the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
		);
	}
	return [...named.filter((one) => one !== main), { ...main, macAddress }];
}
