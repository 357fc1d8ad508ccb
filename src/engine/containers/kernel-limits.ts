import { posix } from "node:path";
import type { SpecResources } from "../../oci/runtime-spec.ts";
import { EngineError } from "../../shared/errors.ts";
import type { HostConfig } from "./config.ts";
import { deviceAt } from "./resources.ts";

/** Limits that not every kernel has, and cgroup details. */
export interface KernelLimits {
	/** 10 to 1000; 0: the default */
	BlkioWeight?: number;
	BlkioWeightDevice?: { Path: string; Weight: number }[] | null;
	/** Bytes or operations a second. */
	BlkioDeviceReadBps?: ThrottleDevice[] | null;
	BlkioDeviceWriteBps?: ThrottleDevice[] | null;
	BlkioDeviceReadIOps?: ThrottleDevice[] | null;
	BlkioDeviceWriteIOps?: ThrottleDevice[] | null;
	/** Microseconds. */
	CpuRealtimePeriod?: number;
	CpuRealtimeRuntime?: number;
	/** Percent; null and -1: the host's. */
	MemorySwappiness?: number | null;
	/** Bytes; cgroup v1 alone has it. */
	KernelMemoryTCP?: number;
	/** Means something on Windows alone: discarded with a warning. */
	CpuPercent?: number;
	OomKillDisable?: boolean;
	/** `c 1:3 rwm` */
	DeviceCgroupRules?: string[] | null;
	/** Below which cgroup the container's is made; "": the engine's. */
	CgroupParent?: string;
	Annotations?: Record<string, string>;
}

export interface ThrottleDevice {
	Path: string;
	Rate: number;
}

/** What the machine's cgroups know. */
export interface KernelFeatures {
	readonly blockWeight: boolean;
	readonly blockThrottle: boolean;
	readonly swappiness: boolean;
	readonly oomKillDisable: boolean;
	readonly realtime: boolean;
	readonly kernelMemoryTcp: boolean;
}

export const WHOLE_KERNEL: KernelFeatures = {
	blockWeight: true,
	blockThrottle: true,
	swappiness: true,
	oomKillDisable: true,
	realtime: true,
	kernelMemoryTcp: true,
};

/** "invalid" in docker's words. Source: moby, verifyPlatformContainerResources. */
export function validateKernelLimits(host: KernelLimits, features: KernelFeatures): void {
	const refuse = (message: string): never => {
		throw new EngineError("invalid", message);
	};
	const { BlkioWeight: weight = 0, CpuRealtimePeriod: period = 0, CpuRealtimeRuntime: runtime = 0 } = host;
	const swappiness = host.MemorySwappiness ?? -1;
	if (swappiness < -1 || swappiness > 100) {
		refuse(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
	}
	if (features.blockWeight && weight !== 0 && (weight < 10 || weight > 1000)) {
		refuse("Range of blkio weight is from 10 to 1000");
	}
	if ((period !== 0 || runtime !== 0) && !features.realtime) {
		refuse("Your kernel does not support CPU real-time scheduler");
	}
	if (period !== 0 && runtime !== 0 && runtime > period) {
		refuse("cpu real-time runtime cannot be higher than cpu real-time period");
	}
	for (const rule of host.DeviceCgroupRules ?? []) parseDeviceRule(rule);
}

/** Without what the kernel lacks, and docker's warnings of that. */
export function withinKernel<Host extends KernelLimits & { Memory: number }>(
	asked: Host,
	features: KernelFeatures,
): { host: Host; warnings: string[] } {
	const host = { ...asked };
	const warnings: string[] = [];
	const lacks = (what: string, discarded: string) => {
		warnings.push(`Your kernel does not support ${what} or the cgroup is not mounted. ${discarded} discarded.`);
	};
	if (host.CpuPercent) {
		warnings.push("linux does not support CPU percent. Percent discarded.");
		host.CpuPercent = 0;
	}
	if (host.MemorySwappiness === -1) host.MemorySwappiness = null;
	if (host.MemorySwappiness !== null && host.MemorySwappiness !== undefined && !features.swappiness) {
		lacks("memory swappiness capabilities", "Memory swappiness");
		host.MemorySwappiness = null;
	}
	if (host.OomKillDisable && !features.oomKillDisable) {
		warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
		host.OomKillDisable = false;
	}
	if (host.OomKillDisable && host.Memory === 0) {
		warnings.push(
			"OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
		);
	}
	if (host.KernelMemoryTCP && !features.kernelMemoryTcp) {
		lacks("kernel memory TCP limit capabilities", "Kernel memory TCP limit");
		host.KernelMemoryTCP = 0;
	}
	if (host.BlkioWeight && !features.blockWeight) {
		lacks("Block I/O weight", "Weight");
		host.BlkioWeight = 0;
	}
	if (host.BlkioWeightDevice?.length && !features.blockWeight) {
		lacks("Block I/O weight_device", "Weight-device");
		host.BlkioWeightDevice = [];
	}
	for (const [field, name, unit] of THROTTLES) {
		if (!host[field]?.length || features.blockThrottle) continue;
		lacks(`${unit} Block I/O ${name} limit`, `Block I/O ${unit} ${name} limit`);
		host[field] = [];
	}
	return { host, warnings };
}

const THROTTLES = [
	["BlkioDeviceReadBps", "read", "BPS"],
	["BlkioDeviceWriteBps", "write", "BPS"],
	["BlkioDeviceReadIOps", "read", "IOPS"],
	["BlkioDeviceWriteIOps", "write", "IOPS"],
] as const;

/** Their part of `linux.resources`. "invalid" when a device is none. */
export function kernelResources(host: KernelLimits): Pick<SpecResources, "memory" | "cpu" | "blockIO"> {
	const { MemorySwappiness: swappiness = null, CpuRealtimePeriod: period, CpuRealtimeRuntime: runtime } = host;
	const memory = {
		...(swappiness !== null && swappiness >= 0 && { swappiness }),
		...(host.OomKillDisable && { disableOOMKiller: true }),
		...(host.KernelMemoryTCP && { kernelTCP: host.KernelMemoryTCP }),
	};
	const cpu = { ...(period && { realtimePeriod: period }), ...(runtime && { realtimeRuntime: runtime }) };
	const blockIO = blockIoOf(host);
	return {
		...(Object.keys(memory).length > 0 && { memory }),
		...(Object.keys(cpu).length > 0 && { cpu }),
		...(Object.keys(blockIO).length > 0 && { blockIO }),
	};
}

function blockIoOf(host: KernelLimits) {
	const number = (path: string) => {
		const { major, minor } = deviceAt(path, path);
		return { major, minor };
	};
	const throttle = (list: ThrottleDevice[] | null | undefined) =>
		list?.map(({ Path, Rate }) => ({ ...number(Path), rate: Rate }));
	const all = {
		weight: host.BlkioWeight || undefined,
		weightDevice: host.BlkioWeightDevice?.map(({ Path, Weight }) => ({ ...number(Path), weight: Weight })),
		throttleReadBpsDevice: throttle(host.BlkioDeviceReadBps),
		throttleWriteBpsDevice: throttle(host.BlkioDeviceWriteBps),
		throttleReadIOPSDevice: throttle(host.BlkioDeviceReadIOps),
		throttleWriteIOPSDevice: throttle(host.BlkioDeviceWriteIOps),
	};
	return Object.fromEntries(
		Object.entries(all).filter(([, one]) => one !== undefined && (typeof one === "number" || one.length > 0)),
	);
}

/** `c 1:* rw` as a rule that allows it. "invalid" in docker's words. */
export function parseDeviceRule(rule: string): NonNullable<SpecResources["devices"]>[number] {
	const match = /^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$/.exec(rule);
	if (!match) throw new EngineError("invalid", `invalid device cgroup rule format: '${rule}'`);
	const number = (text: string | undefined) => (text === "*" ? undefined : Number(text));
	const [major, minor] = [number(match[2]), number(match[3])];
	return {
		allow: true,
		type: match[1],
		...(major !== undefined && { major }),
		...(minor !== undefined && { minor }),
		access: match[4],
	};
}

/** Path of a container's cgroup below each mount. */
export function cgroupPath(host: Pick<HostConfig, "CgroupParent">, instance: string, id: string): string {
	return posix.join("/", host.CgroupParent || `foredeck-${instance}`, id);
}
