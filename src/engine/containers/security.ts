import { EngineError } from "../../shared/errors.ts";
import type { SeccompProfile } from "./context.ts";

export interface SecurityOptions {
	readonly seccomp: SeccompProfile;
	/** undefined: the host's default */
	readonly apparmor?: string;
	readonly noNewPrivileges: boolean;
	/** systempaths=unconfined: nothing masked, nothing read-only */
	readonly systemPaths: boolean;
	/** /sys/fs/cgroup can be written to */
	readonly writableCgroups: boolean;
}

/** --security-opt in both separators; "invalid" names an option that is none. Seccomp profiles come as JSON, as the CLI sends them. */
export function parseSecurityOpt(options: readonly string[] | null): SecurityOptions {
	let seccomp: SeccompProfile = "default";
	let apparmor: string | undefined;
	let noNewPrivileges = false;
	let systemPaths = true;
	let writableCgroups = false;
	for (const option of options ?? []) {
		const at = option.search(/[=:]/);
		const key = at < 0 ? option : option.slice(0, at);
		const value = at < 0 ? undefined : option.slice(at + 1);
		if (key === "no-new-privileges" && (value === undefined || value === "true" || value === "false")) {
			noNewPrivileges = value !== "false";
		} else if (key === "seccomp" && value) {
			seccomp = seccompOf(value);
		} else if (key === "apparmor" && value !== undefined) {
			apparmor = value || undefined;
		} else if (key === "writable-cgroups" && (value === "true" || value === "false")) {
			writableCgroups = value === "true";
		} else if (key === "systempaths" && value === "unconfined") {
			systemPaths = false;
			// Labels are SELinux's, which no container has here.
		} else if (!(key === "label" && value !== undefined)) {
			// moby's two places where it finds out
			const place = at < 0 ? 1 : 2;
			throw new EngineError("invalid", `invalid --security-opt ${place}: ${JSON.stringify(option)}`);
		}
	}
	return { seccomp, apparmor, noNewPrivileges, systemPaths, writableCgroups };
}

function seccompOf(value: string): SeccompProfile {
	if (value === "unconfined") return value;
	if (value === "builtin" || value === "default") return "default";
	try {
		JSON.parse(value);
	} catch (cause) {
		throw new EngineError("invalid", `opening seccomp profile failed: not JSON: ${value.slice(0, 80)}`, { cause });
	}
	return { json: value };
}
