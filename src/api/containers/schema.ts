import type { ContainerConfig, HostConfig, MountRequest } from "../../engine/containers/config.ts";
import type { EndpointConfig } from "../../engine/containers/record.ts";
import {
	boolean,
	type Decode,
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
	unsupported,
} from "../body.ts";
import { invalid } from "../errors.ts";
import { decodeEndpoint, type Endpoint } from "../networks/schema.ts";

const none = unsupported();
/** A field that another decoder reads. */
const unused: Decode<undefined> = () => undefined;
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
	// Read by decodeCreate.
	MacAddress: unused,
	OnBuild: none,
	Shell: none,
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
	ClusterOptions: none,
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
	const [rows = 0, columns = 0] = list(integer())(value, path);
	return [rows, columns];
};

const runtimeName: Decode<undefined> = (value, path) => {
	const name = string()(value, path);
	// Containers run with the one runtime there is, whichever of docker's names for it a client gives.
	if (["", "crun", "runc", "io.containerd.runc.v2"].includes(name)) return undefined;
	throw invalid(`unknown or invalid runtime name: ${name}`);
};

const isolation: Decode<undefined> = (value, path) => {
	const name = string()(value, path);
	if (name !== "" && name !== "default") throw invalid(`invalid isolation (${name}): linux only supports 'default'`);
	return undefined;
};

/** A limit of the writable layer's size needs quotas, which dockerd has on xfs alone. */
const storageOption: Decode<undefined> = (value, path) => {
	const [name] = Object.keys(map(string())(value, path));
	if (name === undefined) return undefined;
	if (name !== "size") throw invalid(`Unknown option ${name}`);
	throw invalid("--storage-opt is supported only for overlay over xfs with 'pquota' mount option");
};

const deviceRequest = object({
	Driver: string(),
	Count: integer(),
	DeviceIDs: nullStrings,
	Capabilities: nullable(list(list(string()))),
	Options: optional(map(string())),
});

/** GPUs and CDI devices come from drivers of dockerd's, of which there is none here. */
const deviceRequests: Decode<undefined> = (value, path) => {
	const [first] = list(deviceRequest)(value, path);
	if (!first) return undefined;
	const capabilities = (first.Capabilities ?? []).map((all) => `[${all.join(" ")}]`).join(" ");
	throw invalid(
		`could not select device driver ${JSON.stringify(first.Driver)} with capabilities: [${capabilities}]: this engine has none for HostConfig.DeviceRequests`,
	);
};

const throttles = nullable(list(object({ Path: string(), Rate: integer() })));

const link: Decode<string> = (value, path) => {
	const text = string()(value, path);
	if (text === "") throw invalid("empty string specified for links");
	if (text.split(":").length > 2) throw invalid(`invalid format for links: ${text}`);
	return text;
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
	PidMode: namespaceMode("PID mode", /^container:./),
	IpcMode: namespaceMode("IPC mode", "private", "shareable", "none", /^container:/),
	UTSMode: namespaceMode("UTS mode"),
	CgroupnsMode: namespaceMode("cgroup namespace mode", "private"),
	BlkioWeight: integer(),
	BlkioWeightDevice: nullable(list(object({ Path: string(), Weight: integer() }))),
	BlkioDeviceReadBps: throttles,
	BlkioDeviceWriteBps: throttles,
	BlkioDeviceReadIOps: throttles,
	BlkioDeviceWriteIOps: throttles,
	CgroupParent: string(),
	Cgroup: none,
	CpuRealtimePeriod: integer(),
	CpuRealtimeRuntime: integer(),
	DeviceCgroupRules: nullStrings,
	DeviceRequests: deviceRequests,
	KernelMemory: none,
	KernelMemoryTCP: none,
	MemorySwappiness: nullable(integer()),
	OomKillDisable: boolean(),
	CpuCount: none,
	CpuPercent: none,
	IOMaximumIOps: none,
	IOMaximumBandwidth: none,
	VolumeDriver: string(),
	VolumesFrom: nullStrings,
	Annotations: optional(map(string())),
	Links: nullable(list(link)),
	StorageOpt: storageOption,
	UsernsMode: namespaceMode("user namespace mode"),
	Runtime: runtimeName,
	Isolation: isolation,
};

const decodeConfig: Decode<ContainerConfig> = object(CONFIG);
const decodeMac = object({ MacAddress: string() });

const CREATE = object({
	HostConfig: (value): HostConfig => object(HOST_CONFIG)(value, "HostConfig"),
	NetworkingConfig: (value) => object({ EndpointsConfig: map(decodeEndpoint) })(value, "NetworkingConfig"),
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
	const { MacAddress } = decodeMac(value, path);
	const endpoints = withLinks(networking.EndpointsConfig, hostConfig);
	return { config, hostConfig, networks: networksOf(endpoints, hostConfig.NetworkMode, MacAddress) };
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
