import type { Containers } from "../../engine/containers/contract.ts";
import type { EngineEvent } from "../../engine/events.ts";
import type { Images } from "../../engine/images/contract.ts";
import type { RuntimeFacts, SystemFacts } from "../../engine/system.ts";
import { nowNano } from "../../shared/time.ts";
import { API_VERSION, MIN_API_VERSION } from "../version.ts";

/** `GET /version`. GoVersion is a field that clients print: it names what we run on. */
export function versionView(facts: SystemFacts) {
	const details = {
		ApiVersion: API_VERSION,
		Arch: facts.arch,
		BuildTime: facts.buildTime,
		Experimental: "false",
		GitCommit: facts.gitCommit,
		GoVersion: `bun${Bun.version}`,
		KernelVersion: facts.kernelVersion,
		MinAPIVersion: MIN_API_VERSION,
		Os: "linux",
	};
	const { name, version, commit } = facts.runtimes().program;
	return {
		Platform: { Name: "Foredeck" },
		Components: [
			{ Name: "Engine", Version: facts.version, Details: details },
			{ Name: name, Version: version, Details: { GitCommit: commit } },
		],
		Version: facts.version,
		...details,
		Experimental: undefined,
	};
}

/** `GET /info`. `minor` is the client's API version: fields come and go with it. */
export function infoView(facts: SystemFacts, containers: Containers, images: Images, minor: number) {
	const records = containers.list();
	const count = (status: string) => records.filter((record) => record.state.status === status).length;
	const [running, paused] = [count("running") + count("restarting"), count("paused")];
	return {
		ID: facts.id,
		Containers: records.length,
		ContainersRunning: running,
		ContainersPaused: paused,
		ContainersStopped: records.length - running - paused,
		Images: images.list().length,
		Driver: facts.storageDriver,
		DriverStatus: [
			["Backing Filesystem", facts.backingFilesystem],
			["Supports d_type", "true"],
			["userxattr", "false"],
		],
		Plugins: {
			Volume: ["local"],
			Network: facts.networkDrivers,
			Authorization: null,
			Log: ["journald", "json-file", "local", "syslog"],
		},
		...limitsView(facts, minor),
		...machineView(facts),
		IndexServerAddress: "https://index.docker.io/v1/",
		RegistryConfig: registryView(facts, minor),
		GenericResources: null,
		HttpProxy: "",
		HttpsProxy: "",
		NoProxy: "",
		Labels: [],
		ExperimentalBuild: false,
		ServerVersion: facts.version,
		...runtimesView(facts.runtimes(), minor),
		Swarm: SWARM,
		LiveRestoreEnabled: true,
		Isolation: "",
		InitBinary: facts.initBinary,
		ContainerdCommit: { ID: "" },
		InitCommit: { ID: "" },
		SecurityOptions: minor < 25 ? facts.securityOptions.map(optionName) : facts.securityOptions,
		CDISpecDirs: [],
		...(minor >= 49 && { FirewallBackend: { Driver: "nftables" } }),
		// docker says false to all who still ask
		...(minor < 50 && { BridgeNfIptables: false, BridgeNfIp6tables: false }),
		Warnings: null,
	};
}

/** `name=seccomp,profile=builtin` was `seccomp` before 1.25. */
function optionName(option: string): string {
	return /^name=([^,]*)/.exec(option)?.[1] ?? option;
}

const SWARM = {
	NodeID: "",
	NodeAddr: "",
	LocalNodeState: "inactive",
	ControlAvailable: false,
	Error: "",
	RemoteManagers: null,
};

function runtimesView({ all, defaultName, program }: RuntimeFacts, minor: number) {
	const features = (text: string) => ({ status: { "org.opencontainers.runtime-spec.features": text } });
	const view = ({ path, args, features: text }: RuntimeFacts["all"][number]) => ({
		path,
		...(args.length > 0 && { runtimeArgs: args }),
		...(text !== undefined && minor >= 44 && features(text)),
	});
	return {
		Runtimes: Object.fromEntries(
			all.map((runtime) => [runtime.name, view(runtime)] as const).toSorted(([a], [b]) => (a < b ? -1 : 1)),
		),
		DefaultRuntime: defaultName,
		RuncCommit: { ID: program.commit, ...(minor < 49 && { Expected: program.commit }) },
	};
}

function limitsView({ limits }: SystemFacts, minor: number) {
	return {
		MemoryLimit: true,
		SwapLimit: true,
		// docker leaves them out where they are not
		...(limits.kernelMemory && minor < 42 && { KernelMemory: true }),
		...(limits.kernelMemoryTcp && { KernelMemoryTCP: true }),
		CpuCfsPeriod: true,
		CpuCfsQuota: true,
		CPUShares: true,
		CPUSet: true,
		PidsLimit: true,
		OomKillDisable: limits.oomKillDisable,
	};
}

function machineView(facts: SystemFacts) {
	return {
		IPv4Forwarding: facts.ipv4Forwarding(),
		Debug: false,
		NFd: facts.openFiles(),
		NGoroutines: 0,
		SystemTime: nowNano(),
		LoggingDriver: "json-file",
		CgroupDriver: facts.cgroupDriver,
		CgroupVersion: facts.cgroupVersion,
		NEventsListener: 0,
		KernelVersion: facts.kernelVersion,
		OperatingSystem: facts.operatingSystem,
		OSVersion: facts.osVersion,
		OSType: "linux",
		Architecture: facts.machine,
		NCPU: facts.cpus,
		MemTotal: facts.memory,
		DockerRootDir: facts.dataRoot,
		Name: facts.hostname,
	};
}

function registryView(facts: SystemFacts, minor: number) {
	const index = (name: string, secure: boolean) => ({
		Name: name,
		Mirrors: [],
		Secure: secure,
		Official: name === "docker.io",
	});
	const insecure = facts.insecureRegistries.map((name) => [name, index(name, false)] as const);
	return {
		InsecureRegistryCIDRs: ["::1/128", "127.0.0.0/8"],
		IndexConfigs: Object.fromEntries([["docker.io", index("docker.io", true)] as const, ...insecure]),
		Mirrors: null,
		...(minor < 47 && { AllowNondistributableArtifactsCIDRs: null, AllowNondistributableArtifactsHostnames: null }),
	};
}

/** One line of `GET /events`. timeNano goes beyond what a JS number holds: it is written by hand. */
export function eventLine(event: EngineEvent): string {
	const { timeNano, ...rest } = event;
	const legacy = event.Type === "container" || event.Type === "image";
	const old = legacy ? { status: event.Action, id: event.Actor.ID, from: event.Actor.Attributes.image } : {};
	return `${JSON.stringify({ ...old, ...rest }).slice(0, -1)},"timeNano":${timeNano}}\n`;
}
