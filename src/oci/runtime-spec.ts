/** The parts of the OCI runtime specification (config.json) that the engine writes. Source: OCI runtime spec 1.2. */
export interface RuntimeSpec {
	ociVersion: string;
	hostname?: string;
	domainname?: string;
	root: { path: string; readonly: boolean };
	process: SpecProcess;
	mounts: SpecMount[];
	annotations?: Record<string, string>;
	linux: SpecLinux;
}

export interface SpecProcess {
	terminal: boolean;
	consoleSize?: { height: number; width: number };
	user: { uid: number; gid: number; additionalGids?: number[]; umask?: number };
	args: string[];
	env: string[];
	cwd: string;
	capabilities?: SpecCapabilities;
	rlimits?: { type: string; hard: number; soft: number }[];
	noNewPrivileges?: boolean;
	apparmorProfile?: string;
	oomScoreAdj?: number;
}

export interface SpecCapabilities {
	bounding: string[];
	effective: string[];
	permitted: string[];
	inheritable?: string[];
	ambient?: string[];
}

export interface SpecMount {
	destination: string;
	type: string;
	source: string;
	options: string[];
}

export interface SpecLinux {
	namespaces: { type: "pid" | "network" | "ipc" | "uts" | "mount" | "cgroup" | "user"; path?: string }[];
	cgroupsPath: string;
	resources: SpecResources;
	devices?: SpecDevice[];
	maskedPaths?: string[];
	readonlyPaths?: string[];
	sysctl?: Record<string, string>;
	seccomp?: unknown;
	rootfsPropagation?: string;
}

export interface SpecDevice {
	type: "c" | "b" | "u" | "p";
	path: string;
	major: number;
	minor: number;
	fileMode?: number;
	uid?: number;
	gid?: number;
}

export interface SpecResources {
	devices?: { allow: boolean; type?: string; major?: number; minor?: number; access?: string }[];
	memory?: {
		limit?: number;
		reservation?: number;
		swap?: number;
		swappiness?: number;
		disableOOMKiller?: boolean;
		kernelTCP?: number;
	};
	cpu?: {
		shares?: number;
		quota?: number;
		period?: number;
		realtimeRuntime?: number;
		realtimePeriod?: number;
		cpus?: string;
		mems?: string;
	};
	pids?: { limit: number };
	blockIO?: unknown;
	unified?: Record<string, string>;
}
