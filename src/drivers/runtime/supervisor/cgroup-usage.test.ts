import { expect, test } from "bun:test";
import { parseCgroupMounts } from "./cgroup.ts";
import { cgroupUsage, networkUsage, systemUsage } from "./cgroup-usage.ts";

const V1_MOUNTS = parseCgroupMounts(
	["cpu", "cpuacct", "memory", "blkio", "pids", "freezer"]
		.map((name) => `cgroup /sys/fs/cgroup/${name} cgroup rw,relatime,${name} 0 0`)
		.join("\n"),
);
const V2_MOUNTS = parseCgroupMounts("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0");

/** As captured of a container that writes, with `-m 64m --cpus 0.5 --pids-limit 50` (kernel 6.18). */
const V1: Record<string, string> = {
	"cpuacct/x/cpuacct.usage": "42564520\n",
	"cpuacct/x/cpuacct.usage_percpu": "22517378 20921494 \n",
	"cpuacct/x/cpuacct.stat": "user 1\nsystem 4\n",
	"cpu/x/cpu.stat": "nr_periods 4\nnr_throttled 2\nthrottled_time 7000\nnr_bursts 0\nburst_time 0\n",
	"memory/x/memory.usage_in_bytes": "1011712\n",
	"memory/x/memory.max_usage_in_bytes": "1069056\n",
	"memory/x/memory.failcnt": "3\n",
	"memory/x/memory.limit_in_bytes": "67108864\n",
	"memory/x/memory.stat": "cache 102400\nrss 94208\ntotal_inactive_file 102400\n",
	"blkio/x/blkio.bfq.io_serviced_recursive": "Total 0\n",
	"blkio/x/blkio.throttle.io_serviced_recursive": "8:0 Read 1\n8:0 Write 5\n8:0 Total 6\nTotal 6\n",
	"blkio/x/blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Write 20480\nTotal 24576\n",
	"pids/x/pids.current": "2\n",
	"pids/x/pids.max": "50\n",
};

const V2: Record<string, string> = {
	"cpu.stat":
		"usage_usec 1514923\nuser_usec 814000\nsystem_usec 700923\nnr_periods 12\nnr_throttled 3\nthrottled_usec 45\n",
	"memory.current": "4096000\n",
	"memory.max": "max\n",
	"memory.stat": "anon 1000\nfile 2000\ninactive_file 500\n",
	"io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n",
	"pids.current": "1\n",
	"pids.max": "max\n",
};

test("v1: numbers of every controller, times in nanoseconds", () => {
	const usage = cgroupUsage(
		V1_MOUNTS,
		"/x",
		(file) => V1[file.replace("/sys/fs/cgroup/", "").replace("//", "/")] ?? "",
	);
	expect(usage.cpu).toEqual({
		total: 42564520,
		perCpu: [22517378, 20921494],
		user: 10_000_000,
		kernel: 40_000_000,
		periods: 4,
		throttledPeriods: 2,
		throttledTime: 7000,
	});
	expect(usage.memory).toEqual({
		usage: 1011712,
		maxUsage: 1069056,
		failures: 3,
		limit: 67108864,
		stats: { cache: 102400, rss: 94208, total_inactive_file: 102400 },
	});
	expect(usage.pids).toEqual({ current: 2, limit: 50 });
});

test("v1: the throttling layer's block counters where bfq counts nothing; totals without a device are left out", () => {
	const { blockIo } = cgroupUsage(
		V1_MOUNTS,
		"/x",
		(file) => V1[file.replace("/sys/fs/cgroup/", "").replace("//", "/")] ?? "",
	);
	expect(blockIo.serviceBytes).toEqual([
		{ major: 8, minor: 0, op: "Read", value: 4096 },
		{ major: 8, minor: 0, op: "Write", value: 20480 },
	]);
	expect(blockIo.serviced?.map(({ op, value }) => `${op} ${value}`)).toEqual(["Read 1", "Write 5", "Total 6"]);
	expect(blockIo.queued).toEqual([]);
});

test("v2: microseconds become nanoseconds, and max is no limit", () => {
	const usage = cgroupUsage(V2_MOUNTS, "/x", (file) => V2[file.split("/").at(-1) ?? ""] ?? "");
	expect(usage).toEqual({
		version: 2,
		cpu: {
			total: 1514923000,
			user: 814000000,
			kernel: 700923000,
			periods: 12,
			throttledPeriods: 3,
			throttledTime: 45000,
		},
		memory: { usage: 4096000, limit: undefined, stats: { anon: 1000, file: 2000, inactive_file: 500 } },
		blockIo: {
			serviceBytes: [
				{ major: 8, minor: 0, op: "read", value: 1 },
				{ major: 8, minor: 0, op: "write", value: 2 },
			],
		},
		pids: { current: 1, limit: undefined },
	});
});

test("a machine's CPU time sums eight fields of all CPUs, and counts those online", () => {
	const stat = "cpu  1 2 3 4 5 6 7 8 90 100\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 0 1 2 3 4 5 6 7 0 0\nintr 5\n";
	expect(systemUsage(stat, "MemTotal:        2048 kB\nMemFree: 1 kB\n")).toEqual({
		cpu: 360_000_000,
		onlineCpus: 2,
		memory: 2048 * 1024,
	});
});

test("interfaces but lo, also where the name is glued to its first number", () => {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:1234     10    1    2    0     0          0         0     5678      20    3    4    0     0       0          0
`;
	expect(networkUsage(text)).toEqual({
		eth0: {
			rxBytes: 1234,
			rxPackets: 10,
			rxErrors: 1,
			rxDropped: 2,
			txBytes: 5678,
			txPackets: 20,
			txErrors: 3,
			txDropped: 4,
		},
	});
});
