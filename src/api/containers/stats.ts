import { Elysia } from "elysia";
import type { Containers } from "../../engine/containers/contract.ts";
import type { StatsFrame, StatsPair } from "../../engine/containers/stats.ts";
import { ZERO_TIME } from "../../shared/time.ts";
import { invalid } from "../errors.ts";
import { boolOf, queryOf } from "../query.ts";
import { streamResponse } from "../stream.ts";

type Usage = NonNullable<StatsFrame["usage"]>;
type BlockEntries = Usage["blockIo"]["serviceBytes"];

/** What `docker stats` reads. */
export function statsRoutes(containers: Containers) {
	return new Elysia().get("/containers/:id/stats", async ({ request, params }) => {
		const query = queryOf(request);
		const [stream, oneShot] = [boolOf(query, "stream", true), boolOf(query, "one-shot")];
		if (stream && oneShot) throw invalid("cannot have stream=true and one-shot=true");
		if (stream) return streamResponse(lines(containers.stats(params.id, request.signal)), "application/json");
		const body = line(await containers.statsOnce(params.id, oneShot));
		return new Response(body, { headers: { "content-type": "application/json", "content-length": `${body.length}` } });
	});
}

async function* lines(pairs: AsyncIterable<StatsPair>): AsyncGenerator<Uint8Array> {
	for await (const pair of pairs) yield line(pair);
}

/** Stands for 2^64 - 1, which no number of ours can be. */
const UNLIMITED = "\u0000unlimited";

function line(pair: StatsPair): Buffer<ArrayBuffer> {
	const text = JSON.stringify(statsView(pair)).replaceAll(JSON.stringify(UNLIMITED), "18446744073709551615");
	return Buffer.from(`${text}\n`);
}

/** One line of `GET /containers/{id}/stats`, with dockerd's fields in its order; what Go leaves out when it is zero is undefined. */
export function statsView({ current, previous }: StatsPair) {
	const { id, name, read = ZERO_TIME, usage } = current;
	return {
		name: `/${name}`,
		id,
		read,
		preread: previous?.read ?? ZERO_TIME,
		pids_stats: usage ? pidsView(usage) : {},
		blkio_stats: blockIoView(usage),
		num_procs: 0,
		storage_stats: {},
		cpu_stats: cpuView(usage),
		precpu_stats: cpuView(previous?.usage),
		memory_stats: usage ? memoryView(usage) : {},
		...(usage && Object.keys(usage.networks).length > 0 && { networks: networksView(usage) }),
	};
}

function pidsView({ version, pids }: Usage) {
	// With v1 an unlimited container has no limit, with v2 the greatest.
	const none = version === 2 ? UNLIMITED : undefined;
	return { current: pids.current || undefined, limit: pids.limit || none };
}

function cpuView(usage: Usage | undefined) {
	if (!usage) {
		return {
			cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
			throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
		};
	}
	const { cpu, system } = usage;
	return {
		cpu_usage: {
			total_usage: cpu.total,
			percpu_usage: cpu.perCpu?.length ? cpu.perCpu : undefined,
			usage_in_kernelmode: cpu.kernel,
			usage_in_usermode: cpu.user,
		},
		system_cpu_usage: system.cpu || undefined,
		online_cpus: system.onlineCpus || undefined,
		throttling_data: {
			periods: cpu.periods,
			throttled_periods: cpu.throttledPeriods,
			throttled_time: cpu.throttledTime,
		},
	};
}

const COMMON =
	"cache rss rss_huge mapped_file dirty writeback pgpgin pgpgout pgfault pgmajfault inactive_anon active_anon inactive_file active_file unevictable";
/** What dockerd takes of memory.stat. Source: moby, daemon/stats_unix.go. */
const MEMORY_V1 = [
	...COMMON.split(" ").flatMap((name) => [name, `total_${name}`]),
	"hierarchical_memory_limit",
	"hierarchical_memsw_limit",
].sort();
const MEMORY_V2 =
	"active_anon active_file anon anon_thp file file_dirty file_mapped file_writeback inactive_anon inactive_file kernel_stack pgactivate pgdeactivate pgfault pglazyfree pglazyfreed pgmajfault pgrefill pgscan pgsteal shmem slab slab_reclaimable slab_unreclaimable sock thp_collapse_alloc thp_fault_alloc unevictable workingset_activate workingset_nodereclaim workingset_refault".split(
		" ",
	);

function memoryView({ version, memory, system }: Usage) {
	const names = version === 1 ? MEMORY_V1 : MEMORY_V2;
	const limit = Math.min(memory.limit ?? system.memory, system.memory);
	return {
		usage: memory.usage || undefined,
		max_usage: memory.maxUsage || undefined,
		stats: Object.fromEntries(names.map((name) => [name, memory.stats[name] ?? 0])),
		failcnt: memory.failures || undefined,
		limit: limit || undefined,
	};
}

function blockIoView(usage: Usage | undefined) {
	const io = usage?.blockIo;
	const list = (entries: BlockEntries | undefined) =>
		usage?.version === 2 && !entries?.length ? null : (entries ?? null);
	return {
		io_service_bytes_recursive: list(io?.serviceBytes),
		io_serviced_recursive: list(io?.serviced),
		io_queue_recursive: list(io?.queued),
		io_service_time_recursive: list(io?.serviceTime),
		io_wait_time_recursive: list(io?.waitTime),
		io_merged_recursive: list(io?.merged),
		io_time_recursive: list(io?.time),
		sectors_recursive: list(io?.sectors),
	};
}

function networksView({ networks }: Usage) {
	return Object.fromEntries(
		Object.entries(networks).map(([name, one]) => [
			name,
			{
				rx_bytes: one.rxBytes,
				rx_packets: one.rxPackets,
				rx_errors: one.rxErrors,
				rx_dropped: one.rxDropped,
				tx_bytes: one.txBytes,
				tx_packets: one.txPackets,
				tx_errors: one.txErrors,
				tx_dropped: one.txDropped,
			},
		]),
	);
}
