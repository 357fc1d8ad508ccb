import { EngineError } from "../../shared/errors.ts";

/** capability(7), in kernel order. */
export const ALL_CAPABILITIES: readonly string[] =
	"CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
		.split(" ")
		.map((name) => `CAP_${name}`);

/** moby's 14. */
export const DEFAULT_CAPABILITIES: readonly string[] =
	"CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
		.split(" ")
		.map((name) => `CAP_${name}`);

/** The capabilities that can be given here: docker's "all" means these. `numbers` as the kernel counts them; undefined: all known. */
export function availableNames(numbers: readonly number[] | undefined): readonly string[] {
	return numbers ? ALL_CAPABILITIES.filter((_, number) => numbers.includes(number)) : ALL_CAPABILITIES;
}

/**
 * The bounding set after --cap-add and --cap-drop, with --privileged all that `available` holds. "invalid" names one that is unknown, or
 * that the engine itself lacks.
 */
export function capabilitiesOf(
	asked: {
		readonly CapAdd: readonly string[] | null;
		readonly CapDrop: readonly string[] | null;
		readonly Privileged: boolean;
	},
	available: readonly string[] = ALL_CAPABILITIES,
): string[] {
	const add = (asked.CapAdd ?? []).map((name) => normalize(name, "CapAdd", available));
	const drop = (asked.CapDrop ?? []).map((name) => normalize(name, "CapDrop", ALL_CAPABILITIES));
	if (asked.Privileged) return [...available];
	if (add.includes("ALL")) return available.filter((name) => !drop.includes(name));
	const base = drop.includes("ALL")
		? []
		: DEFAULT_CAPABILITIES.filter((name) => !drop.includes(name) && available.includes(name));
	return [...new Set([...base, ...add])];
}

function normalize(name: string, field: string, available: readonly string[]): string {
	const upper = name.toUpperCase();
	if (upper === "ALL") return upper;
	const full = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
	if (!ALL_CAPABILITIES.includes(full)) {
		throw new EngineError("invalid", `invalid ${field}: unknown capability: "${full}"`);
	}
	if (!available.includes(full)) {
		throw new EngineError(
			"invalid",
			`invalid ${field}: capability not supported by your kernel or not available in the current environment: "${full}"`,
		);
	}
	return full;
}
