import type { SpecResources } from "../../oci/runtime-spec.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { type HostConfig, NO_LIMITS } from "./config.ts";
import { type Context, change, find, isRunning, publish } from "./context.ts";
import { validateKernelLimits, WHOLE_KERNEL, withinKernel } from "./kernel-limits.ts";
import type { ContainerRecord } from "./record.ts";
import { resourcesOf, validateResources } from "./resources.ts";

/** Limits that can change in the life of a container. */
export type Resources = Pick<
	HostConfig,
	| "Memory"
	| "MemoryReservation"
	| "MemorySwap"
	| "NanoCpus"
	| "CpuShares"
	| "CpuPeriod"
	| "CpuQuota"
	| "CpusetCpus"
	| "CpusetMems"
	| "PidsLimit"
	| "BlkioWeight"
	| "CpuRealtimePeriod"
	| "CpuRealtimeRuntime"
	| "OomKillDisable"
>;

export interface UpdateRequest {
	/** 0, "" and null: as it is. */
	readonly resources: Resources;
	/** undefined: as it is. */
	readonly restartPolicy?: HostConfig["RestartPolicy"];
}

/** Contract: Containers.update. A running container gets the limits first; only what the kernel took is stored. */
export async function update(context: Context, ref: string, request: UpdateRequest): Promise<{ warnings: string[] }> {
	const { id } = find(context, ref);
	return context.locks.run(id, async () => {
		const record = find(context, id);
		const kernel = context.kernel ?? WHOLE_KERNEL;
		validateKernelLimits(request.resources, kernel);
		const { host, warnings } = withinKernel(request.resources, kernel);
		// docker looks at it, warns, and leaves it as it is.
		const { OomKillDisable: _, ...resources } = host;
		// Swap alone refers to the memory limit that there is.
		const swapAlone = resources.Memory === 0 && resources.MemorySwap > 0;
		validateResources({ ...record.hostConfig, ...NO_LIMITS, ...resources, ...(swapAlone && { MemorySwap: 0 }) });
		const conflict = conflictOf(record, request);
		if (conflict) throw new EngineError("conflict", `Cannot update container ${id}: ${conflict}`);
		const limits = liveResources(resources);
		if (isRunning(record.state) && Object.keys(limits).length > 0) await apply(context, id, limits);
		change(context, id, { hostConfig: merged(record.hostConfig, { ...request, resources }) });
		publish(context, record, "update");
		return { warnings };
	});
}

async function apply(context: Context, id: string, limits: Omit<SpecResources, "devices">): Promise<void> {
	try {
		await context.runtime.update(id, limits);
	} catch (cause) {
		throw new EngineError("internal", `Cannot update container ${id}: ${messageOf(cause)}`, { cause });
	}
}

/** What does not go together with what is set already, in docker's words. Source: moby, container.UpdateContainer. */
export function conflictOf(
	{ hostConfig: has }: Pick<ContainerRecord, "hostConfig">,
	request: UpdateRequest,
): string | undefined {
	const { resources: asked, restartPolicy } = request;
	const both = (one: string, other: string) =>
		`Conflicting options: ${one} cannot be updated as ${other} has already been set`;
	if (asked.NanoCpus > 0 && has.CpuPeriod > 0) return both("Nano CPUs", "CPU Period");
	if (asked.NanoCpus > 0 && has.CpuQuota > 0) return both("Nano CPUs", "CPU Quota");
	if (asked.CpuPeriod > 0 && has.NanoCpus > 0) return both("CPU Period", "NanoCPUs");
	if (asked.CpuQuota > 0 && has.NanoCpus > 0) return both("CPU Quota", "NanoCPUs");
	// Unlimited swap bears any limit.
	const swap = has.MemorySwap === -1 ? Number.POSITIVE_INFINITY : has.MemorySwap;
	if (asked.Memory > swap && asked.MemorySwap === 0) {
		return "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time";
	}
	if (restartPolicy && restartPolicy.Name !== "no" && has.AutoRemove) {
		return "Restart policy cannot be updated because AutoRemove is enabled for the container";
	}
	return undefined;
}

function merged(host: HostConfig, { resources, restartPolicy }: UpdateRequest): HostConfig {
	const set = Object.entries(resources).filter(
		([, value]) => value !== undefined && value !== 0 && value !== "" && value !== null,
	);
	const pids = resources.PidsLimit === null ? {} : { PidsLimit: Math.max(0, resources.PidsLimit) };
	return { ...host, ...Object.fromEntries(set), ...pids, ...(restartPolicy && { RestartPolicy: restartPolicy }) };
}

/** What the runtime is told: only what was asked for. */
export function liveResources(asked: Resources): Omit<SpecResources, "devices"> {
	const { memory: _, cpu, ...others } = resourcesOf({ ...(NO_LIMITS as HostConfig), ...asked });
	// Takes a limit away that there is; a new cgroup has none.
	const processor = { ...cpu, ...(asked.CpuQuota < 0 && { quota: -1 }) };
	const memory = {
		...(asked.Memory > 0 && { limit: asked.Memory }),
		...(asked.MemorySwap !== 0 && { swap: asked.MemorySwap }),
		...(asked.MemoryReservation > 0 && { reservation: asked.MemoryReservation }),
	};
	const unlimited = asked.PidsLimit !== null && asked.PidsLimit <= 0;
	return {
		...others,
		...(Object.keys(processor).length > 0 && { cpu: processor }),
		...(Object.keys(memory).length > 0 && { memory }),
		...(unlimited && { pids: { limit: -1 } }),
	};
}
