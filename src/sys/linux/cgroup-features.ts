import { existsSync, readFileSync } from "node:fs";

/** What limits this machine's cgroups know beyond those that every kernel has. */
export interface CgroupFeatures {
	readonly blockWeight: boolean;
	readonly blockThrottle: boolean;
	readonly swappiness: boolean;
	readonly oomKillDisable: boolean;
	readonly realtime: boolean;
	/** A limit of its own for the buffers of sockets. */
	readonly kernelMemoryTcp: boolean;
}

/** @param root of the cgroup mounts */
export function cgroupFeatures(root = "/sys/fs/cgroup"): CgroupFeatures {
	if (existsSync(`${root}/cgroup.controllers`)) {
		const io = readFileSync(`${root}/cgroup.controllers`, "utf8").split(/\s+/).includes("io");
		const block = { blockWeight: io, blockThrottle: io };
		return { ...block, swappiness: false, oomKillDisable: false, realtime: false, kernelMemoryTcp: false };
	}
	const has = (file: string) => existsSync(`${root}/${file}`);
	return {
		blockWeight: has("blkio/blkio.weight") || has("blkio/blkio.bfq.weight"),
		blockThrottle: has("blkio/blkio.throttle.read_bps_device"),
		swappiness: has("memory/memory.swappiness"),
		oomKillDisable: has("memory/memory.oom_control"),
		realtime: has("cpu/cpu.rt_period_us"),
		kernelMemoryTcp: has("memory/memory.kmem.tcp.limit_in_bytes"),
	};
}
