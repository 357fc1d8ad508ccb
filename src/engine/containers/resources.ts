import { readdirSync, readFileSync, statSync } from "node:fs";
import { cpus } from "node:os";
import type { SpecDevice, SpecResources } from "../../oci/runtime-spec.ts";
import { EngineError } from "../../shared/errors.ts";
import type { HostConfig } from "./config.ts";
import { swapOf } from "./defaults.ts";
import { kernelResources, parseDeviceRule } from "./kernel-limits.ts";

const MIN_MEMORY = 6 << 20;
const DEFAULT_PERIOD = 100_000;
const ULIMITS = "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split(
	" ",
);

/** Throws "invalid" in docker's words for limits that cannot be. */
export function validateResources(host: HostConfig, cpuCount = cpus().length): void {
	const refuse = (message: string): never => {
		throw new EngineError("invalid", message);
	};
	const { Memory, MemorySwap, MemoryReservation, NanoCpus, CpuQuota, CpuPeriod } = host;
	if (Memory !== 0 && Memory < MIN_MEMORY) refuse("Minimum memory limit allowed is 6MB");
	if (MemorySwap < -1) refuse(`invalid MemorySwap: ${MemorySwap}`);
	if (Memory > 0 && MemorySwap > 0 && MemorySwap < Memory) {
		refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
	}
	if (Memory === 0 && MemorySwap > 0)
		refuse("You should always set the Memory limit when using Memoryswap limit, see usage");
	if (MemoryReservation !== 0 && MemoryReservation < MIN_MEMORY) refuse("Minimum memory reservation allowed is 6MB");
	if (Memory > 0 && MemoryReservation > Memory) {
		refuse("Minimum memory limit can not be less than memory reservation limit, see usage");
	}
	if (NanoCpus !== 0 && (CpuQuota !== 0 || CpuPeriod !== 0)) {
		refuse(`Conflicting options: Nano CPUs and CPU ${CpuPeriod ? "Period" : "Quota"} cannot both be set`);
	}
	if (NanoCpus < 0 || NanoCpus > cpuCount * 1e9) {
		refuse(`range of CPUs is from 0.01 to ${cpuCount}.00, as there are only ${cpuCount} CPUs available`);
	}
	if (CpuPeriod !== 0 && (CpuPeriod < 1000 || CpuPeriod > 1_000_000)) {
		refuse("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
	}
	if (CpuQuota > 0 && CpuQuota < 1000) refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)");
	if (host.ShmSize < 0) refuse("SHM size can not be less than 0");
	if (host.OomScoreAdj < -1000 || host.OomScoreAdj > 1000) {
		refuse(`Invalid value ${host.OomScoreAdj}, range for oom score adj is [-1000, 1000]`);
	}
	for (const [field, list] of [
		["cpuset cpus", host.CpusetCpus],
		["cpuset mems", host.CpusetMems],
	] as const) {
		const parts = list.split(",").map((part) => /^(\d+)(?:-(\d+))?$/.exec(part));
		if (list !== "" && parts.some((part) => !part || Number(part[2] ?? part[1]) < Number(part[1]))) {
			refuse(`Invalid value ${list} for ${field}: invalid format: ${list}`);
		}
	}
	if (highest(host.CpusetCpus) >= cpuCount) {
		refuse(`Requested CPUs are not available - requested ${host.CpusetCpus}, available: 0-${cpuCount - 1}`);
	}
	const nodes = memoryNodes();
	if (highest(host.CpusetMems) > highest(nodes)) {
		refuse(`Requested memory nodes are not available - requested ${host.CpusetMems}, available: ${nodes}`);
	}
	if (host.CpuShares < 0) refuse(`invalid CPU shares (${host.CpuShares}): value must be a positive integer`);
	validateUlimits(host);
}

/** Those that the machine has: `0` or `0-3`. */
function memoryNodes(): string {
	try {
		return readFileSync("/sys/devices/system/node/online", "utf8").trim();
	} catch {
		return "0";
	}
}

/** The largest number in a list such as 0-2,7; -1 of none. */
function highest(list: string): number {
	return Math.max(-1, ...(list.match(/\d+/g) ?? []).map(Number));
}

function validateUlimits(host: HostConfig): void {
	for (const { Name, Soft, Hard } of host.Ulimits ?? []) {
		if (!ULIMITS.includes(Name)) throw new EngineError("invalid", `invalid ulimit type: ${Name}`);
		if (Hard !== -1 && (Soft > Hard || Soft === -1)) {
			throw new EngineError("invalid", `ulimit soft limit must be less than or equal to hard limit: ${Soft} > ${Hard}`);
		}
	}
}

/** `linux.resources` without devices. Memory in bytes, quota and period in microseconds. */
export function resourcesOf(host: HostConfig): SpecResources {
	const memory = {
		...(host.Memory > 0 && { limit: host.Memory, swap: swapOf(host) }),
		...(host.MemoryReservation > 0 && { reservation: host.MemoryReservation }),
	};
	const cpu = {
		...(host.CpuShares > 0 && { shares: host.CpuShares }),
		// Below zero is no limit, which a new cgroup has.
		...(host.CpuQuota > 0 && { quota: host.CpuQuota }),
		...(host.CpuPeriod > 0 && { period: host.CpuPeriod }),
		...(host.NanoCpus > 0 && { period: DEFAULT_PERIOD, quota: Math.round((host.NanoCpus / 1e9) * DEFAULT_PERIOD) }),
		...(host.CpusetCpus && { cpus: host.CpusetCpus }),
		...(host.CpusetMems && { mems: host.CpusetMems }),
	};
	const more = kernelResources(host);
	Object.assign(memory, more.memory);
	Object.assign(cpu, more.cpu);
	return {
		...(more.blockIO !== undefined && { blockIO: more.blockIO }),
		...(Object.keys(memory).length > 0 && { memory }),
		...(Object.keys(cpu).length > 0 && { cpu }),
		...(host.PidsLimit && host.PidsLimit > 0 && { pids: { limit: host.PidsLimit } }),
	};
}

/** moby's rules: nothing, but mknod of anything, and use of the harmless devices and ptys. */
export const DEFAULT_DEVICE_RULES: NonNullable<SpecResources["devices"]> = [
	{ allow: false, access: "rwm" },
	{ allow: true, type: "c", major: 1, minor: 5, access: "rwm" },
	{ allow: true, type: "c", major: 1, minor: 3, access: "rwm" },
	{ allow: true, type: "c", major: 1, minor: 9, access: "rwm" },
	{ allow: true, type: "c", major: 1, minor: 8, access: "rwm" },
	{ allow: true, type: "c", major: 5, minor: 0, access: "rwm" },
	{ allow: true, type: "c", major: 5, minor: 1, access: "rwm" },
	{ allow: false, type: "c", major: 10, minor: 229, access: "rwm" },
];

export function validateDevices(host: HostConfig): void {
	for (const { PathOnHost, CgroupPermissions } of host.Devices ?? []) {
		if (!/^[rwm]{0,3}$/.test(CgroupPermissions)) {
			throw new EngineError("invalid", `invalid device mode: ${CgroupPermissions}: allowed are r, w and m`);
		}
		if (!PathOnHost.startsWith("/")) throw new EngineError("invalid", `${PathOnHost} is not an absolute path`);
	}
}

/** Nodes and cgroup rules of --device. "invalid" in docker's words when the host's path is no device. */
export function devicesOf(host: HostConfig): { devices: SpecDevice[]; rules: NonNullable<SpecResources["devices"]> } {
	const devices: SpecDevice[] = [];
	const rules: NonNullable<SpecResources["devices"]> = [];
	for (const asked of host.Devices ?? []) {
		for (const device of devicesAt(asked.PathOnHost, asked.PathInContainer || asked.PathOnHost)) {
			devices.push(device);
			const { type, major, minor } = device;
			rules.push({ allow: true, type, major, minor, access: asked.CgroupPermissions || "rwm" });
		}
	}
	rules.push(...(host.DeviceCgroupRules ?? []).map(parseDeviceRule));
	return { devices, rules };
}

/** A device, or all that lie in and below a directory, as `--device /dev/snd` means. Source: moby, DevicesFromPath. */
function devicesAt(onHost: string, inContainer: string): SpecDevice[] {
	if (!statSync(onHost, { throwIfNoEntry: false })?.isDirectory()) return [deviceAt(onHost, inContainer)];
	const nodes = readdirSync(onHost, { withFileTypes: true, recursive: true }).filter(
		(entry) => entry.isCharacterDevice() || entry.isBlockDevice(),
	);
	if (nodes.length === 0) return [deviceAt(onHost, inContainer)];
	return nodes.flatMap((entry) => {
		const path = `${entry.parentPath}/${entry.name}`;
		return [deviceAt(path, `${inContainer}${path.slice(onHost.length)}`)];
	});
}

/** The node of a device of the host, to be made at `inContainer`. */
export function deviceAt(onHost: string, inContainer: string): SpecDevice {
	const fail = (reason: string, cause?: unknown) =>
		new EngineError("invalid", `error gathering device information while adding custom device "${onHost}": ${reason}`, {
			cause,
		});
	let stat: ReturnType<typeof statSync>;
	try {
		stat = statSync(onHost);
	} catch (cause) {
		throw fail("no such file or directory", cause);
	}
	if (!stat?.isCharacterDevice() && !stat?.isBlockDevice()) throw fail("not a device node");
	// The kernel's dev_t as glibc packs it: makedev(3).
	const rdev = BigInt(stat.rdev);
	return {
		type: stat.isBlockDevice() ? "b" : "c",
		path: inContainer,
		major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)),
		minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
		fileMode: stat.mode & 0o777,
		uid: stat.uid,
		gid: stat.gid,
	};
}
