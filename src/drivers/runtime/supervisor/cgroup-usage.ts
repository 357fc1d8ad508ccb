import { readFileSync } from "node:fs";
import type { BlockIo, ResourceUsage } from "../driver.ts";
import type { CgroupMounts } from "./cgroup.ts";

/** Text of a file, "" when it cannot be read. */
export type ReadText = (file: string) => string;

type CgroupNumbers = Omit<ResourceUsage, "system" | "networks">;

/** USER_HZ is 100 on every architecture that Linux still has. */
const TICK_NS = 10_000_000;

/** What a container's cgroup says it uses. @param path as in the spec's cgroupsPath */
export function cgroupUsage(mounts: CgroupMounts, path: string, read: ReadText): CgroupNumbers {
	const at = (controller: string) => `${mounts.get(controller) ?? mounts.get("unified") ?? ""}/${path}`;
	return mounts.has("memory") ? usageV1(at, read) : usageV2(at("unified"), read);
}

function usageV1(at: (controller: string) => string, read: ReadText): CgroupNumbers {
	const number = (controller: string, file: string) => numberOf(read(`${at(controller)}/${file}`));
	const account = pairs(read(`${at("cpuacct")}/cpuacct.stat`));
	const throttling = pairs(read(`${at("cpu")}/cpu.stat`));
	return {
		version: 1,
		cpu: {
			total: number("cpuacct", "cpuacct.usage") ?? 0,
			perCpu: words(read(`${at("cpuacct")}/cpuacct.usage_percpu`)).map(Number),
			user: (account.user ?? 0) * TICK_NS,
			kernel: (account.system ?? 0) * TICK_NS,
			periods: throttling.nr_periods ?? 0,
			throttledPeriods: throttling.nr_throttled ?? 0,
			throttledTime: throttling.throttled_time ?? 0,
		},
		memory: {
			usage: number("memory", "memory.usage_in_bytes") ?? 0,
			maxUsage: number("memory", "memory.max_usage_in_bytes"),
			failures: number("memory", "memory.failcnt"),
			limit: number("memory", "memory.limit_in_bytes"),
			stats: pairs(read(`${at("memory")}/memory.stat`)),
		},
		blockIo: blockIoV1(at("blkio"), read),
		pids: { current: number("pids", "pids.current") ?? 0, limit: number("pids", "pids.max") },
	};
}

/** bfq's counters where that scheduler is in use, else the throttling layer's: as containerd reads them. */
function blockIoV1(directory: string, read: ReadText): BlockIo {
	const entries = (file: string) => blockEntries(read(`${directory}/blkio.${file}`));
	const bfq = entries("bfq.io_serviced_recursive");
	const own = entries("io_serviced_recursive");
	const kind = bfq.length > 0 ? "bfq." : own.length > 0 ? "" : "throttle.";
	return {
		serviceBytes: entries(`${kind}io_service_bytes_recursive`),
		serviced: entries(`${kind}io_serviced_recursive`),
		queued: entries(`${kind}io_queued_recursive`),
		serviceTime: entries(`${kind}io_service_time_recursive`),
		waitTime: entries(`${kind}io_wait_time_recursive`),
		merged: entries(`${kind}io_merged_recursive`),
		time: entries("time_recursive"),
		sectors: entries("sectors_recursive"),
	};
}

/** Lines `8:0 Read 4096`, or `8:0 12` without an operation. */
function blockEntries(text: string): BlockIo["serviceBytes"] {
	return text.split("\n").flatMap((line) => {
		const match = /^(\d+):(\d+) (?:(\w+) )?(\d+)$/.exec(line);
		if (!match) return [];
		return [{ major: Number(match[1]), minor: Number(match[2]), op: match[3] ?? "", value: Number(match[4]) }];
	});
}

function usageV2(directory: string, read: ReadText): CgroupNumbers {
	const number = (file: string) => numberOf(read(`${directory}/${file}`));
	const cpu = pairs(read(`${directory}/cpu.stat`));
	return {
		version: 2,
		cpu: {
			total: (cpu.usage_usec ?? 0) * 1000,
			user: (cpu.user_usec ?? 0) * 1000,
			kernel: (cpu.system_usec ?? 0) * 1000,
			periods: cpu.nr_periods ?? 0,
			throttledPeriods: cpu.nr_throttled ?? 0,
			throttledTime: (cpu.throttled_usec ?? 0) * 1000,
		},
		memory: {
			usage: number("memory.current") ?? 0,
			limit: number("memory.max"),
			stats: pairs(read(`${directory}/memory.stat`)),
		},
		blockIo: { serviceBytes: blockBytesV2(read(`${directory}/io.stat`)) },
		pids: { current: number("pids.current") ?? 0, limit: number("pids.max") },
	};
}

/** Lines `8:0 rbytes=1 wbytes=2 rios=3 ...`. */
function blockBytesV2(text: string): BlockIo["serviceBytes"] {
	return text.split("\n").flatMap((line) => {
		const match = /^(\d+):(\d+) /.exec(line);
		if (!match) return [];
		const [major, minor] = [Number(match[1]), Number(match[2])];
		const value = (key: string) => Number(new RegExp(` ${key}=(\\d+)`).exec(line)?.[1] ?? 0);
		return [
			{ major, minor, op: "read", value: value("rbytes") },
			{ major, minor, op: "write", value: value("wbytes") },
		];
	});
}

/** CPU time of the whole machine and what it has. @param stat text of /proc/stat; @param meminfo of /proc/meminfo */
export function systemUsage(stat: string, meminfo: string): ResourceUsage["system"] {
	const [, ...fields] = words(stat.split("\n")[0] ?? "");
	const ticks = fields.slice(0, 8).reduce((sum, field) => sum + Number(field), 0);
	return {
		cpu: ticks * TICK_NS,
		onlineCpus: stat.match(/^cpu\d/gm)?.length ?? 0,
		memory: Number(/^MemTotal:\s+(\d+) kB/m.exec(meminfo)?.[1] ?? 0) * 1024,
	};
}

/** Every interface but loopback. @param text of /proc/PID/net/dev */
export function networkUsage(text: string): ResourceUsage["networks"] {
	const found: Record<string, ResourceUsage["networks"][string]> = {};
	for (const line of text.split("\n").slice(2)) {
		const [name, rest] = line.trim().split(/:\s*/);
		if (!name || name === "lo" || rest === undefined) continue;
		const n = words(rest).map(Number);
		const [rxBytes = 0, rxPackets = 0, rxErrors = 0, rxDropped = 0] = n;
		const [txBytes = 0, txPackets = 0, txErrors = 0, txDropped = 0] = n.slice(8);
		found[name] = { rxBytes, rxPackets, rxErrors, rxDropped, txBytes, txPackets, txErrors, txDropped };
	}
	return found;
}

/** What a container uses now. @param pid of its first process: in its network namespace */
export function containerUsage(mounts: CgroupMounts, cgroupsPath: string, pid: number): ResourceUsage {
	return {
		...cgroupUsage(mounts, cgroupsPath, readText),
		networks: networkUsage(readText(`/proc/${pid}/net/dev`)),
		system: systemUsage(readText("/proc/stat"), readText("/proc/meminfo")),
	};
}

/** "" when it cannot be read. */
function readText(file: string): string {
	try {
		return readFileSync(file, "utf8");
	} catch {
		return "";
	}
}

function words(text: string): string[] {
	return text.trim().split(/\s+/).filter(Boolean);
}

function numberOf(text: string): number | undefined {
	const word = text.trim();
	return /^\d+$/.test(word) ? Number(word) : undefined;
}

/** Lines `name number`. */
function pairs(text: string): Record<string, number> {
	const found: Record<string, number> = {};
	for (const line of text.split("\n")) {
		const [name, value] = line.split(" ");
		if (name && value !== undefined && /^\d+$/.test(value)) found[name] = Number(value);
	}
	return found;
}
