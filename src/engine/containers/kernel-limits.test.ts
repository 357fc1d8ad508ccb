import { expect, test } from "bun:test";
import {
	cgroupPath,
	kernelResources,
	parseDeviceRule,
	validateKernelLimits,
	WHOLE_KERNEL,
	withinKernel,
} from "./kernel-limits.ts";

const BARE = {
	blockWeight: false,
	blockThrottle: false,
	swappiness: false,
	oomKillDisable: false,
	realtime: false,
	kernelMemoryTcp: false,
};

test.each([
	[{ MemorySwappiness: 101 }, "Invalid value: 101, valid memory swappiness range is 0-100"],
	[{ BlkioWeight: 5 }, "Range of blkio weight is from 10 to 1000"],
	[{ CpuRealtimePeriod: 1000, CpuRealtimeRuntime: 2000 }, "cpu real-time runtime cannot be higher"],
	[{ DeviceCgroupRules: ["x 1:3 r"] }, "invalid device cgroup rule format: 'x 1:3 r'"],
])("%j is refused", (host, message) => {
	expect(() => validateKernelLimits(host, WHOLE_KERNEL)).toThrow(message);
});

test("real-time limits need a kernel that has them", () => {
	expect(() => validateKernelLimits({ CpuRealtimeRuntime: 1 }, BARE)).toThrow(
		"does not support CPU real-time scheduler",
	);
});

test("what the kernel lacks is discarded with a warning each", () => {
	const asked = {
		Memory: 0,
		MemorySwappiness: 5,
		BlkioWeight: 300,
		OomKillDisable: true,
		BlkioDeviceReadBps: [{ Path: "/dev/null", Rate: 1 }],
	};
	const { host, warnings } = withinKernel(asked, BARE);
	expect(host).toEqual({
		Memory: 0,
		MemorySwappiness: null as unknown as number,
		BlkioWeight: 0,
		OomKillDisable: false,
		BlkioDeviceReadBps: [],
	});
	expect(warnings).toEqual([
		"Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
		"Your kernel does not support OomKillDisable. OomKillDisable discarded.",
		"Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
		"Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.",
	]);
});

test("what it has is kept; no OOM killer without a memory limit is warned of", () => {
	const { host, warnings } = withinKernel({ Memory: 0, MemorySwappiness: -1, OomKillDisable: true }, WHOLE_KERNEL);
	expect([host.MemorySwappiness, host.OomKillDisable]).toEqual([null as unknown as number, true]);
	expect(warnings).toHaveLength(1);
	expect(withinKernel({ Memory: 1, OomKillDisable: true }, WHOLE_KERNEL).warnings).toEqual([]);
});

test("limits as the OCI spec has them, devices by number", () => {
	expect(kernelResources({})).toEqual({});
	expect(
		kernelResources({
			MemorySwappiness: 0,
			OomKillDisable: true,
			CpuRealtimePeriod: 1000,
			BlkioWeight: 300,
			BlkioDeviceWriteIOps: [{ Path: "/dev/null", Rate: 7 }],
			BlkioDeviceReadBps: [],
		}),
	).toEqual({
		memory: { swappiness: 0, disableOOMKiller: true },
		cpu: { realtimePeriod: 1000 },
		blockIO: { weight: 300, throttleWriteIOPSDevice: [{ major: 1, minor: 3, rate: 7 }] },
	});
});

test("a device rule's star is every number", () => {
	expect(parseDeviceRule("c 1:* rw")).toEqual({ allow: true, type: "c", major: 1, access: "rw" });
	expect(parseDeviceRule("a *:* rwm")).toEqual({ allow: true, type: "a", access: "rwm" });
});

test("a cgroup's parent is the engine's, or below the mount what was asked for", () => {
	expect(cgroupPath({}, "fd", "x")).toBe("/foredeck-fd/x");
	expect(cgroupPath({ CgroupParent: "mine/deep" }, "fd", "x")).toBe("/mine/deep/x");
	expect(cgroupPath({ CgroupParent: "../../up" }, "fd", "x")).toBe("/up/x");
});
