import { MAX_INT64 } from "../../shared/int64.ts";
import type { HostConfig } from "./config.ts";
import { MASKED_PATHS, READONLY_PATHS } from "./spec.ts";

const SHM_BYTES = 64 << 20;

/**
 * What a client left open, decided at create and stored, so that inspect tells what the container gets. Source: moby,
 * adaptContainerSettings and generateSecurityOpt. Pure.
 */
export function withDefaults(host: HostConfig, cgroupVersion: 1 | 2, runtime: string): HostConfig {
	return {
		...host,
		Runtime: host.Runtime ?? runtime,
		ShmSize: host.ShmSize || SHM_BYTES,
		MemorySwap: swapOf(host),
		PidsLimit: host.PidsLimit !== null && host.PidsLimit > 0 ? host.PidsLimit : null,
		IpcMode: host.IpcMode || "private",
		CgroupnsMode: host.CgroupnsMode || (cgroupVersion === 2 ? "private" : "host"),
		SecurityOpt: securityOpt(host),
		MaskedPaths: host.MaskedPaths ?? (host.Privileged ? null : [...MASKED_PATHS]),
		ReadonlyPaths: host.ReadonlyPaths ?? (host.Privileged ? null : [...READONLY_PATHS]),
	};
}

/** Bytes of memory and swap together: as much swap as memory, unless something else was asked for. */
export function swapOf({ Memory, MemorySwap }: Pick<HostConfig, "Memory" | "MemorySwap">): number {
	return MemorySwap === 0 && Memory > 0 ? Math.min(Memory * 2, MAX_INT64) : MemorySwap;
}

/** Who shares the host's processes or IPC cannot have a label of its own. */
function securityOpt(host: HostConfig): string[] | null {
	const shares = host.Privileged || host.PidMode === "host" || host.IpcMode === "host";
	const labelled = host.SecurityOpt?.some((option) => /^label[=:]/.test(option)) ?? false;
	if (!shares || labelled) return host.SecurityOpt;
	return [...(host.SecurityOpt ?? []), "label=disable"];
}

/** What docker tells a client whose request it takes all the same. */
export function warningsOf({ NetworkMode, PortBindings }: Pick<HostConfig, "NetworkMode" | "PortBindings">): string[] {
	const published = Object.keys(PortBindings ?? {}).length > 0;
	return published && NetworkMode === "host" ? ["Published ports are discarded when using host network mode"] : [];
}
