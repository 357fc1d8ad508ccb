import type { RuntimeFamily } from "./driver.ts";

/** What the engine may count on beyond what the specification of OCI runtimes says; each trait makes something faster or mends something. */
export interface RuntimeTraits {
	/** Runs from a sealed copy in memory, which no container can overwrite; else it would make one of its own at each start. */
	readonly runsFromMemory: boolean;
	/** Takes a seccomp filter that is compiled already, by annotation; else the profile stands in the specification's form. */
	readonly takesCompiledSeccomp: boolean;
	/**
	 * `exec --process` reads a FIFO, after it has found the container: it is started before its exec comes. runc's does, too, but gains a tenth at most,
	 * and has 10 MB while it waits.
	 */
	readonly waitsForExec: boolean;
	/** In which its log is to be; crun says in it, on the container's stderr, for its user, what keeps a program from being run. */
	readonly logFormat: "text" | "json";
	/**
	 * What a process is called (/proc/PID/comm) that is still the runtime's, though `run` has answered: it takes signals, which are lost then, until
	 * it becomes the program a moment later.
	 */
	readonly beforeProgram?: string;
	/** `update` takes "no limit" of processes and processor time; else the supervisor writes it to the cgroup. */
	readonly updatesToUnlimited: boolean;
	/** Of a container whose processes and cgroup are gone it keeps a directory and nothing else; else it must be asked to delete it. */
	readonly keepsDirectoryOnly: boolean;
}

const TRAITS: Record<RuntimeFamily, RuntimeTraits> = {
	crun: {
		runsFromMemory: true,
		takesCompiledSeccomp: true,
		waitsForExec: true,
		logFormat: "text",
		updatesToUnlimited: false,
		keepsDirectoryOnly: true,
	},
	runc: {
		runsFromMemory: true,
		takesCompiledSeccomp: false,
		waitsForExec: false,
		logFormat: "json",
		beforeProgram: "runc:[2:INIT]",
		updatesToUnlimited: true,
		keepsDirectoryOnly: true,
	},
	other: {
		runsFromMemory: false,
		takesCompiledSeccomp: false,
		waitsForExec: false,
		logFormat: "json",
		updatesToUnlimited: true,
		keepsDirectoryOnly: false,
	},
};

export function traitsOf(family: RuntimeFamily): RuntimeTraits {
	return TRAITS[family];
}

/** By the first line of what `--version` says: a wrapper is not what it wraps. */
export function familyOf(versionText: string): RuntimeFamily {
	const name = /^(crun|runc) version /.exec(versionText)?.[1];
	return name === "crun" || name === "runc" ? name : "other";
}
