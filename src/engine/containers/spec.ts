import { existsSync } from "node:fs";
import type { StartRequest } from "../../drivers/runtime/driver.ts";
import type { RuntimeSpec, SpecDevice, SpecMount, SpecProcess, SpecResources } from "../../oci/runtime-spec.ts";
import { specProfile } from "./apparmor.ts";
import { capabilitiesOf } from "./capabilities.ts";
import type { HostConfig } from "./config.ts";
import { processEnv } from "./env.ts";
import { cgroupPath } from "./kernel-limits.ts";
import { type AskedMount, outerFirst, specMount } from "./mounts.ts";
import type { ContainerRecord } from "./record.ts";
import { DEFAULT_DEVICE_RULES, resourcesOf } from "./resources.ts";
import { parseSecurityOpt } from "./security.ts";
import type { ResolvedUser } from "./user.ts";

/** What a spec needs beyond the record: facts of this start. */
export interface SpecFacts {
	readonly rootPath: string;
	/** hostname, hosts, resolv.conf lie here. */
	readonly directory: string;
	readonly instance: string;
	readonly cgroupVersion: 1 | 2;
	readonly user: ResolvedUser;
	/** undefined: the host's network */
	readonly sandboxPath?: string;
	readonly mounts: readonly AskedMount[];
	readonly devices: { readonly devices: SpecDevice[]; readonly rules: NonNullable<SpecResources["devices"]> };
	/** For --privileged: every device node of the host. */
	readonly hostDevices: readonly SpecDevice[];
	/** First process of the container whose pid namespace is joined. */
	readonly joinedPid?: number;
	/** First process of the container whose IPC namespace is joined. */
	readonly joinedIpc?: number;
	/** What /dev/shm is bound from, when it is shared. */
	readonly shmPath?: string;
	/** Static init on the host, where --init asks for one that can be: in a PID namespace of another it would reap nothing. */
	readonly initPath?: string;
	/** The host's default; undefined: it has no AppArmor. */
	readonly apparmorProfile?: string;
	/** That the engine can give. */
	readonly capabilities: readonly string[];
}

const INIT_TARGET = "/sbin/docker-init";
/** Source: moby, oci/defaults.go. */
const THERMAL_THROTTLE = "/sys/devices/system/cpu/cpu0/thermal_throttle";
export const MASKED_PATHS: readonly string[] = [
	"/proc/asound",
	"/proc/acpi",
	"/proc/interrupts",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/proc/sched_debug",
	"/proc/scsi",
	"/sys/firmware",
	"/sys/devices/virtual/powercap",
	...(existsSync(THERMAL_THROTTLE) ? [THERMAL_THROTTLE] : []),
];
export const READONLY_PATHS: readonly string[] = [
	"/proc/bus",
	"/proc/fs",
	"/proc/irq",
	"/proc/sys",
	"/proc/sysrq-trigger",
];

/** The OCI spec of a container: moby's defaults, then what was asked, but for seccomp, which `seccompOf` tells. Pure. */
export function runtimeSpec(record: ContainerRecord, facts: SpecFacts): RuntimeSpec {
	const { config, hostConfig: host } = record;
	const security = parseSecurityOpt(host.SecurityOpt);
	const capabilities = capabilitiesOf(host, facts.capabilities);
	const hostUts = host.NetworkMode === "host" || host.UTSMode === "host";
	const open = host.Privileged || !security.systemPaths;
	return {
		// What crun 1.8 and runc 1.1 know.
		ociVersion: "1.0.2",
		...(!hostUts && { hostname: config.Hostname }),
		...(!hostUts && config.Domainname && { domainname: config.Domainname }),
		root: { path: facts.rootPath, readonly: host.ReadonlyRootfs },
		process: firstProcess(record, facts, capabilities),
		mounts: allMounts(record, facts),
		annotations: { ...host.Annotations },
		linux: {
			cgroupsPath: cgroupPath(host, facts.instance, record.id),
			namespaces: namespaces(record, facts),
			resources: { ...resourcesOf(host), devices: deviceRules(host.Privileged, facts) },
			devices: host.Privileged ? [...facts.hostDevices, ...facts.devices.devices] : facts.devices.devices,
			maskedPaths: open ? [] : [...(host.MaskedPaths ?? MASKED_PATHS)],
			readonlyPaths: open ? [] : [...(host.ReadonlyPaths ?? READONLY_PATHS)],
			sysctl: splitSysctls(record).other,
			rootfsPropagation: rootPropagation(facts.mounts),
		},
	};
}

/** The system calls that are let through. Pure. */
export function seccompOf(
	{ hostConfig: host }: ContainerRecord,
	available: readonly string[],
): StartRequest["seccomp"] {
	const profile = host.Privileged ? "unconfined" : parseSecurityOpt(host.SecurityOpt).seccomp;
	return { profile, capabilities: capabilitiesOf(host, available) };
}

/** net.* belongs to the sandbox, which sets it before the start; in none mode and bridge mode alike. */
export function splitSysctls(record: ContainerRecord): { net: Record<string, string>; other: Record<string, string> } {
	const entries = Object.entries(record.hostConfig.Sysctls ?? {});
	const isNet = ([key]: [string, string]) => key.startsWith("net.");
	return {
		net: Object.fromEntries(entries.filter(isNet)),
		other: Object.fromEntries(entries.filter((entry) => !isNet(entry))),
	};
}

function firstProcess(record: ContainerRecord, facts: SpecFacts, capabilities: string[]): SpecProcess {
	const { config, hostConfig: host } = record;
	const command = [record.path, ...record.args];
	const [rows, columns] = host.ConsoleSize;
	const security = parseSecurityOpt(host.SecurityOpt);
	return {
		terminal: config.Tty,
		...(config.Tty && rows > 0 && columns > 0 && { consoleSize: { height: rows, width: columns } }),
		user: specUser(facts.user),
		args: facts.initPath ? [INIT_TARGET, "--", ...command] : command,
		env: processEnv(config.Env, { hostname: config.Hostname, home: facts.user.home, tty: config.Tty }),
		cwd: config.WorkingDir || "/",
		capabilities: specCapabilities(capabilities, facts.user.uid),
		noNewPrivileges: security.noNewPrivileges,
		...specProfile(host, facts.apparmorProfile),
		...specLimits(host),
	};
}

/** The user part of a process. */
export function specUser(user: ResolvedUser): SpecProcess["user"] {
	return { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids };
}

/** Bounding always; effective and permitted for root alone; never inheritable or ambient (CVE-2022-24769). */
export function specCapabilities(capabilities: string[], uid: number): NonNullable<SpecProcess["capabilities"]> {
	const own = uid === 0 ? capabilities : [];
	return { bounding: capabilities, effective: own, permitted: own };
}

/** What the kernel holds by process, not by cgroup: an exec gets it as the first process does, and nothing of what the engine itself has. */
export function specLimits({
	OomScoreAdj,
	Ulimits,
}: Pick<HostConfig, "OomScoreAdj" | "Ulimits">): Pick<SpecProcess, "oomScoreAdj" | "rlimits"> {
	const rlimits = Ulimits?.map(({ Name, Hard, Soft }) => ({
		type: `RLIMIT_${Name.toUpperCase()}`,
		hard: Hard,
		soft: Soft,
	}));
	return { oomScoreAdj: OomScoreAdj, ...(rlimits?.length && { rlimits }) };
}

function namespaces(record: ContainerRecord, facts: SpecFacts): RuntimeSpec["linux"]["namespaces"] {
	const host = record.hostConfig;
	const list: RuntimeSpec["linux"]["namespaces"] = [{ type: "mount" }];
	if (facts.sandboxPath) list.push({ type: "network", path: facts.sandboxPath });
	if (host.NetworkMode !== "host" && host.UTSMode !== "host") list.push({ type: "uts" });
	const { joinedPid } = facts;
	if (joinedPid !== undefined) list.push({ type: "pid", path: `/proc/${joinedPid}/ns/pid` });
	else if (host.PidMode !== "host") list.push({ type: "pid" });
	const { joinedIpc } = facts;
	if (joinedIpc !== undefined) list.push({ type: "ipc", path: `/proc/${joinedIpc}/ns/ipc` });
	else if (host.IpcMode !== "host") list.push({ type: "ipc" });
	// docker's default: private with v2, the host's with v1 and for privileged containers.
	const privateCgroup = host.CgroupnsMode === "private" || (facts.cgroupVersion === 2 && !host.Privileged);
	if (host.CgroupnsMode !== "host" && privateCgroup) list.push({ type: "cgroup" });
	return list;
}

function allMounts(record: ContainerRecord, facts: SpecFacts): SpecMount[] {
	const asked = facts.mounts.map(specMount);
	const taken = new Set(asked.map(({ destination }) => destination));
	const { readonly } = { readonly: record.hostConfig.ReadonlyRootfs };
	const file = (name: string): SpecMount => ({
		destination: `/etc/${name}`,
		type: "bind",
		source: `${facts.directory}/${name}`,
		options: ["rbind", "rprivate", readonly ? "ro" : "rw"],
	});
	const init: SpecMount[] = facts.initPath
		? [{ destination: INIT_TARGET, type: "bind", source: facts.initPath, options: ["bind", "ro"] }]
		: [];
	const files = [file("resolv.conf"), file("hostname"), file("hosts"), ...init];
	const free = (mounts: SpecMount[]) => mounts.filter(({ destination }) => !taken.has(destination));
	// A volume on /etc lies below our files in it.
	return [...free(systemMounts(record, facts)), ...outerFirst([...free(files), ...asked])];
}

function systemMounts({ hostConfig: host }: ContainerRecord, { shmPath }: SpecFacts): SpecMount[] {
	const ro = host.Privileged ? "rw" : "ro";
	const mount = (destination: string, type: string, source: string, ...options: string[]): SpecMount => ({
		destination,
		type,
		source,
		options,
	});
	const { writableCgroups } = parseSecurityOpt(host.SecurityOpt);
	const hostIpc = host.IpcMode === "host";
	const bind = (path: string) => mount(path, "bind", path, "rbind", "rprivate");
	const size = `size=${host.ShmSize || 64 << 20}`;
	const ownShm = mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", size);
	const sharedShm = () => mount("/dev/shm", "bind", shmPath ?? "", "rbind", "rprivate", "nosuid", "noexec", "nodev");
	const shm = shmPath ? sharedShm() : hostIpc ? bind("/dev/shm") : ownShm;
	return [
		host.PidMode === "host" ? bind("/proc") : mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
		mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
		mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
		// A host network namespace without its owner's user namespace still lets sysfs mount; bound it stays the host's.
		mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", ro),
		mount("/sys/fs/cgroup", "cgroup", "cgroup", writableCgroups ? "rw" : ro, "nosuid", "noexec", "nodev"),
		// Of whichever IPC namespace it is mounted in: the host's own, too, and it need not be mounted there.
		mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
		...(host.IpcMode === "none" ? [] : [shm]),
	];
}

function deviceRules(privileged: boolean, facts: SpecFacts): NonNullable<SpecResources["devices"]> {
	if (privileged) return [{ allow: true, access: "rwm" }];
	return [...DEFAULT_DEVICE_RULES, ...facts.devices.rules];
}

/** A shared or slave bind needs a root that lets propagation through. */
function rootPropagation(mounts: readonly AskedMount[]): string {
	const wanted = mounts.map(({ propagation }) => propagation);
	if (wanted.some((one) => one.endsWith("shared"))) return "shared";
	return wanted.some((one) => one.endsWith("slave")) ? "rslave" : "rprivate";
}
