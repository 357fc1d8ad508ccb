import { profileOf } from "../../engine/containers/apparmor.ts";
import type { HostConfig } from "../../engine/containers/config.ts";
import { dnsNames } from "../../engine/containers/endpoints.ts";
import type {
	ContainerRecord,
	ContainerState,
	EndpointConfig,
	EndpointSettings,
	Health,
	PublishedPort,
} from "../../engine/containers/record.ts";
import { ZERO_TIME } from "../../shared/time.ts";
import { statusText } from "./status.ts";

/** One row of `GET /containers/json`. `now` in milliseconds. */
export function summaryView(record: ContainerRecord, now: number, imageName: string, annotated = true) {
	const { NetworkMode, Annotations } = record.hostConfig;
	return {
		Id: record.id,
		Names: [`/${record.name}`],
		Image: imageName,
		ImageID: record.imageId,
		Command: commandText(record),
		Created: Math.floor(Date.parse(record.created) / 1000),
		Ports: portList(record),
		Labels: record.config.Labels,
		State: record.state.status,
		Status: statusText(record.state, now, record.health),
		HostConfig: { NetworkMode, ...(annotated && Annotations && { Annotations }) },
		NetworkSettings: { Networks: listedNetworks(record) },
		// docker does not tell in lists where anonymous volumes lie
		Mounts: mountsView(record).map((mount) => (isAnonymous(mount, record) ? { ...mount, Source: "" } : mount)),
	};
}

/** docker ps joins with blanks and quotes what has blanks inside. */
function commandText(record: ContainerRecord): string {
	return [record.path, ...record.args].map((word) => (/\s/.test(word) ? `'${word}'` : word)).join(" ");
}

/** What a running container publishes and exposes. */
export function portList(
	record: ContainerRecord,
): { IP?: string; PrivatePort: number; PublicPort?: number; Type: string }[] {
	const published = isUp(record.state) ? (record.network?.ports ?? []) : [];
	const taken = new Set(published.map((port) => `${port.containerPort}/${port.protocol}`));
	const exposed = isUp(record.state) ? exposedPorts(record).filter((port) => !taken.has(port)) : [];
	return [
		...published.map((port) => ({
			IP: port.hostIp,
			PrivatePort: port.containerPort,
			PublicPort: port.hostPort,
			Type: port.protocol,
		})),
		...exposed.map((port) => ({ PrivatePort: Number.parseInt(port, 10), Type: port.split("/")[1] ?? "tcp" })),
	];
}

/** `80` is `80/tcp`, as Compose writes it. */
function exposedPorts({ config }: ContainerRecord): string[] {
	const ports = Object.keys(config.ExposedPorts ?? {});
	return [...new Set(ports.map((port) => (port.includes("/") ? port : `${port}/tcp`)))];
}

/** What a list tells of networks: where the container is in them, not by which names. */
function listedNetworks(record: ContainerRecord) {
	const unnamed = { Links: null, Aliases: null, DriverOpts: null, DNSNames: null };
	const views = Object.entries(networksView(record)).map(([name, view]) => [name, { ...view, ...unnamed }] as const);
	return Object.fromEntries(views);
}

export function isUp(state: ContainerState): boolean {
	return state.status === "running" || state.status === "paused";
}

/** `GET /containers/{id}/json`, fields and types as dockerd writes them. */
export function inspectView(
	record: ContainerRecord,
	dirs: { readonly data: string; readonly root: Record<string, string>; readonly apparmorProfile?: string },
	driver: string,
) {
	const directory = `${dirs.data}/containers/${record.id}`;
	const logged = record.hostConfig.LogConfig.Type === "json-file";
	return {
		Id: record.id,
		Created: record.created,
		Path: record.path,
		Args: record.args,
		State: { ...stateView(record.state), ...(record.health && { Health: healthView(record.health) }) },
		Image: record.imageId,
		ResolvConfPath: `${directory}/resolv.conf`,
		HostnamePath: `${directory}/hostname`,
		HostsPath: `${directory}/hosts`,
		LogPath: logged ? `${directory}/${record.id}-json.log` : "",
		Name: `/${record.name}`,
		RestartCount: record.restartCount,
		Driver: driver,
		Platform: "linux",
		MountLabel: "",
		ProcessLabel: "",
		AppArmorProfile: apparmorOf(record, dirs.apparmorProfile),
		ExecIDs: record.execIds.length > 0 ? record.execIds : null,
		HostConfig: hostConfigView(record.hostConfig, record.name),
		GraphDriver: { Data: dirs.root, Name: driver },
		Mounts: mountsView(record),
		Config: { ...record.config, ...macView(record), OnBuild: record.config.OnBuild ?? null },
		NetworkSettings: networkSettingsView(record),
	};
}

function stateView(state: ContainerState) {
	const up = state.status === "running" || state.status === "paused" ? state : undefined;
	const ended = up ? undefined : (state as Partial<Extract<ContainerState, { status: "exited" }>>);
	return {
		Status: state.status,
		// docker counts a restarting container as running
		Running: up !== undefined || state.status === "restarting",
		Paused: state.status === "paused",
		Restarting: state.status === "restarting",
		OOMKilled: ended?.oomKilled ?? false,
		Dead: state.status === "dead",
		Pid: up?.pid ?? 0,
		ExitCode: ended?.exitCode ?? 0,
		Error: ended?.error ?? "",
		StartedAt: up?.startedAt ?? ended?.startedAt ?? ZERO_TIME,
		FinishedAt: state.finishedAt ?? ZERO_TIME,
	};
}

function healthView({ status, failingStreak, log }: Health) {
	const results = log.map(({ start, end, exitCode, output }) => ({
		Start: start,
		End: end,
		ExitCode: exitCode,
		Output: output,
	}));
	return { Status: status, FailingStreak: failingStreak, Log: results };
}

/** `/other:/this/alias`, as docker writes the links of its default network. */
function linksView({ Links, NetworkMode }: HostConfig, name: string): string[] | null {
	if (!Links?.length || NetworkMode !== "bridge") return null;
	return Links.map((link) => {
		const [other = "", alias = other] = link.split(":");
		return `/${other.replace(/^\//, "")}:/${name}/${alias.replace(/^\//, "")}`;
	});
}

function hostConfigView(config: HostConfig, name: string) {
	return {
		...config,
		VolumeDriver: config.VolumeDriver ?? "",
		VolumesFrom: config.VolumesFrom ?? null,
		Cgroup: config.Cgroup ?? "",
		Links: linksView(config, name),
		UsernsMode: config.UsernsMode ?? "",
		Runtime: config.Runtime ?? "",
		Isolation: config.Isolation ?? "",
		CgroupParent: config.CgroupParent ?? "",
		BlkioWeight: config.BlkioWeight ?? 0,
		BlkioWeightDevice: config.BlkioWeightDevice ?? null,
		BlkioDeviceReadBps: config.BlkioDeviceReadBps ?? null,
		BlkioDeviceWriteBps: config.BlkioDeviceWriteBps ?? null,
		BlkioDeviceReadIOps: config.BlkioDeviceReadIOps ?? null,
		BlkioDeviceWriteIOps: config.BlkioDeviceWriteIOps ?? null,
		CpuRealtimePeriod: config.CpuRealtimePeriod ?? 0,
		CpuRealtimeRuntime: config.CpuRealtimeRuntime ?? 0,
		DeviceCgroupRules: config.DeviceCgroupRules ?? null,
		DeviceRequests: null,
		MemorySwappiness: config.MemorySwappiness ?? null,
		OomKillDisable: config.OomKillDisable ?? false,
		CpuCount: config.CpuCount ?? 0,
		CpuPercent: config.CpuPercent ?? 0,
		IOMaximumIOps: 0,
		IOMaximumBandwidth: 0,
	};
}

/** What was asked for, and from the first start on what it came to. */
function apparmorOf({ hostConfig, state }: ContainerRecord, hostDefault: string | undefined): string {
	if (hostDefault !== undefined && state.status !== "created") return profileOf(hostConfig, hostDefault) ?? "";
	const option = hostConfig.SecurityOpt?.findLast((one) => /^apparmor[=:]/.test(one));
	return option?.slice("apparmor=".length) ?? "";
}

/** The address asked for, until a first start shows the one it has. */
function askedMac({ networks, network }: ContainerRecord, name: string): string | undefined {
	return network ? undefined : networks?.find(({ networkName }) => networkName === name)?.macAddress;
}

/** docker shows that of NetworkMode's network in its old place, too. */
function macView({ networks, hostConfig }: ContainerRecord): { MacAddress?: string } {
	const MacAddress = networks?.find(({ networkName }) => networkName === hostConfig.NetworkMode)?.macAddress;
	return MacAddress ? { MacAddress } : {};
}

function mountsView({ mounts = [] }: ContainerRecord) {
	return mounts.map(({ type, name, source, target, mode, readonly, propagation }) => ({
		Type: type,
		...(name && { Name: name }),
		Source: source,
		Destination: target,
		...(type === "volume" && { Driver: "local" }),
		Mode: mode,
		RW: !readonly,
		Propagation: propagation,
	}));
}

function isAnonymous(view: { readonly Destination: string }, { mounts = [] }: ContainerRecord): boolean {
	return mounts.some(({ target, declared }) => declared && target === view.Destination);
}

/** NetworkSettings of an inspection. */
export function networkSettingsView(record: ContainerRecord) {
	const network = record.network;
	const bridge = network?.endpoints.find((endpoint) => endpoint.networkName === "bridge");
	return {
		Bridge: "",
		SandboxID: network?.sandboxId ?? "",
		SandboxKey: network?.sandboxPath ?? "",
		Ports: portMap(record),
		HairpinMode: false,
		LinkLocalIPv6Address: "",
		LinkLocalIPv6PrefixLen: 0,
		SecondaryIPAddresses: null,
		SecondaryIPv6Addresses: null,
		EndpointID: bridge?.endpointId ?? "",
		Gateway: bridge?.gateway ?? "",
		GlobalIPv6Address: "",
		GlobalIPv6PrefixLen: 0,
		IPAddress: bridge?.ipAddress ?? "",
		IPPrefixLen: bridge?.prefixLength ?? 0,
		IPv6Gateway: "",
		MacAddress: bridge?.macAddress ?? askedMac(record, "bridge") ?? "",
		Networks: networksView(record),
	};
}

/** Every exposed port of a running container; null where it is not published. */
function portMap(record: ContainerRecord): Record<string, { HostIp: string; HostPort: string }[] | null> {
	const result: Record<string, { HostIp: string; HostPort: string }[] | null> = {};
	if (!isUp(record.state)) return result;
	for (const port of exposedPorts(record)) result[port] = null;
	for (const port of record.network?.ports ?? []) {
		const key = `${port.containerPort}/${port.protocol}`;
		result[key] = [...(result[key] ?? []), bindingView(port)];
	}
	return result;
}

function bindingView(port: PublishedPort) {
	return { HostIp: port.hostIp, HostPort: port.hostPort === 0 ? "" : String(port.hostPort) };
}

/** By name, as Go writes maps. */
function networksView(record: ContainerRecord) {
	const endpoints = record.network?.endpoints ?? [];
	const mode = record.hostConfig.NetworkMode;
	if (mode.startsWith("container:") || record.config.NetworkDisabled) return {};
	const asked: readonly EndpointConfig[] = record.networks ?? [{ networkName: mode }];
	const entries = asked.map((config) => {
		const known = endpoints.find(({ networkName }) => networkName === config.networkName);
		const none = { networkName: config.networkName, networkId: "", endpointId: "" };
		const view = endpointView(known ?? none, config, record);
		return [config.networkName, view] as const;
	});
	return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function endpointView(endpoint: EndpointSettings, config: EndpointConfig, record: ContainerRecord) {
	const isUserDefined = !["bridge", "host", "none"].includes(endpoint.networkName);
	// docker makes them up when a container first comes to a network.
	const known = endpoint.networkId !== "" || record.state.status !== "created";
	const { ipamConfig, links, aliases, driverOpts } = config;
	return {
		IPAMConfig: ipamConfig ?? null,
		Links: links ?? null,
		Aliases: aliases ?? null,
		MacAddress: endpoint.macAddress ?? askedMac(record, config.networkName) ?? "",
		DriverOpts: driverOpts ?? null,
		GwPriority: config.gwPriority ?? 0,
		NetworkID: endpoint.networkId,
		EndpointID: endpoint.endpointId,
		Gateway: endpoint.gateway ?? "",
		IPAddress: endpoint.ipAddress ?? "",
		IPPrefixLen: endpoint.prefixLength ?? 0,
		IPv6Gateway: endpoint.ipv6Gateway ?? "",
		GlobalIPv6Address: endpoint.ipv6Address ?? "",
		GlobalIPv6PrefixLen: endpoint.ipv6PrefixLength ?? 0,
		DNSNames: isUserDefined && known ? dnsNames(record, aliases) : null,
	};
}
