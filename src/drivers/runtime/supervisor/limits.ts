import type { SpecResources } from "../../../oci/runtime-spec.ts";

/** What crun 1.8 cannot take away: "no limit" of processes, and of processor time. The rest is as it was. */
export function splitUnlimited(resources: SpecResources): { limits: SpecResources; unlimited: ("pids" | "cpu")[] } {
	const { pids, cpu, ...others } = resources;
	const unlimitedPids = pids !== undefined && pids.limit <= 0;
	const unlimitedCpu = cpu?.quota !== undefined && cpu.quota < 0;
	const { quota, ...cpuLimits } = cpu ?? {};
	const cpuLeft = unlimitedCpu ? cpuLimits : cpu;
	return {
		limits: {
			...others,
			...(pids && !unlimitedPids && { pids }),
			...(cpuLeft && Object.keys(cpuLeft).length > 0 && { cpu: cpuLeft }),
		},
		unlimited: [...(unlimitedPids ? (["pids"] as const) : []), ...(unlimitedCpu ? (["cpu"] as const) : [])],
	};
}
