import { EngineError } from "../../shared/errors.ts";
import type { HostConfig } from "./config.ts";
import { parseSecurityOpt } from "./security.ts";

/** A host's AppArmor. */
export interface AppArmor {
	/** Name of the profile of containers that ask for no other. */
	readonly profile: string;
	isLoaded(profile: string): boolean;
	/** Loads the default profile. Rejects with the reason. */
	load(): Promise<void>;
}

/** What clients that know docker call the default profile. */
const DOCKER_DEFAULT = "docker-default";
const UNCONFINED = "unconfined";

/** The profile that confines a container, or "unconfined". undefined on a host without AppArmor, where the option says nothing, as in docker. */
export function profileOf(
	host: Pick<HostConfig, "Privileged" | "SecurityOpt">,
	hostDefault: string | undefined,
): string | undefined {
	if (hostDefault === undefined) return undefined;
	if (host.Privileged) return UNCONFINED;
	const { apparmor = DOCKER_DEFAULT } = parseSecurityOpt(host.SecurityOpt);
	return apparmor === DOCKER_DEFAULT ? hostDefault : apparmor;
}

/** Its part of a process. */
export function specProfile(
	host: Pick<HostConfig, "Privileged" | "SecurityOpt">,
	hostDefault: string | undefined,
): { apparmorProfile?: string } {
	const profile = profileOf(host, hostDefault);
	return profile === undefined || profile === UNCONFINED ? {} : { apparmorProfile: profile };
}

/** Before a start: loads the default profile where it is gone (the host's AppArmor was started anew). "internal" for another that is not loaded. */
export async function ensureProfile(
	apparmor: AppArmor | undefined,
	host: Pick<HostConfig, "Privileged" | "SecurityOpt">,
): Promise<void> {
	const profile = profileOf(host, apparmor?.profile);
	if (apparmor === undefined || profile === undefined || profile === UNCONFINED || apparmor.isLoaded(profile)) return;
	if (profile === apparmor.profile) return apparmor.load();
	throw new EngineError(
		"internal",
		`failed to create task for container: OCI runtime create failed: unable to apply apparmor profile: ${profile} is not loaded`,
	);
}

/**
 * moby's default profile: everything but mounts, and writes to what of /proc and /sys is not the process's own. Its paths begin where its globs can
 * tell them apart: /proc/PID/**, /proc/sys/kernel/shm*, /sys/fs/cgroup/**.
 */
export function defaultProfile(name: string): string {
	const deny = [
		"/proc/* w",
		"/proc/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9/]*}/** w",
		"/proc/sys/[^k]** w",
		"/proc/sys/kernel/{?,??,[^s][^h][^m]**} w",
		"/proc/sysrq-trigger rwklx",
		"/proc/kcore rwklx",
		"mount",
		"/sys/[^f]*/** wklx",
		"/sys/f[^s]*/** wklx",
		"/sys/fs/[^c]*/** wklx",
		"/sys/fs/c[^g]*/** wklx",
		"/sys/fs/cg[^r]*/** wklx",
		"/sys/firmware/** rwklx",
		"/sys/devices/virtual/powercap/** rwklx",
		"/sys/kernel/security/** rwklx",
	];
	const allow = [
		"network",
		"capability",
		"file",
		"umount",
		// The engine and its runtime, by the names under which distributions confine them, end and signal containers.
		...["unconfined", "crun", "runc"].map((peer) => `signal (receive) peer=${peer}`),
		`signal (send, receive) peer=${name}`,
		`ptrace (trace, read, tracedby, readby) peer=${name}`,
	];
	const rules = [
		"include if exists <abstractions/base>",
		...[...allow, ...deny.map((rule) => `deny ${rule}`)].map((rule) => `${rule},`),
	];
	return `include if exists <tunables/global>\n\nprofile ${name} flags=(attach_disconnected,mediate_deleted) {\n${rules.map((rule) => `  ${rule}\n`).join("")}}\n`;
}
