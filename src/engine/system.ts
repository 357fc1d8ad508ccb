/** What the machine and this build are: gathered once at start by daemon, shown by `info` and `version`. */
export interface SystemFacts {
	/** Stable id of this engine. */
	readonly id: string;
	readonly version: string;
	readonly gitCommit: string;
	/** RFC 3339 */
	readonly buildTime: string;
	readonly hostname: string;
	readonly kernelVersion: string;
	/** PRETTY_NAME of os-release. */
	readonly operatingSystem: string;
	readonly osVersion: string;
	/** Go's name: amd64, arm64 */
	readonly arch: string;
	/** uname's name: x86_64, aarch64 */
	readonly machine: string;
	readonly cpus: number;
	/** bytes */
	readonly memory: number;
	readonly cgroupVersion: "1" | "2";
	/** That some kernels have. */
	readonly limits: {
		readonly oomKillDisable: boolean;
		readonly kernelMemory: boolean;
		readonly kernelMemoryTcp: boolean;
	};
	readonly cgroupDriver: "cgroupfs" | "systemd";
	/** Of containers that ask for no other; undefined: the host has no AppArmor. */
	readonly apparmorProfile?: string;
	/** `name=seccomp,profile=builtin` */
	readonly securityOptions: readonly string[];
	readonly dataRoot: string;
	/** As the kernel has them: bridge, host, ipvlan, macvlan, null. */
	readonly networkDrivers: readonly string[];
	readonly insecureRegistries: readonly string[];
	readonly storageDriver: string;
	/** Of the data root, by docker's names: extfs, xfs, btrfs, overlayfs, tmpfs. */
	readonly backingFilesystem: string;
	/** Name of the static init that --init runs; "" without one. */
	readonly initBinary: string;
	/** The OCI runtimes, as they are now. */
	runtimes(): RuntimeFacts;
	/** File descriptors of the daemon now. */
	openFiles(): number;
	/** Whether IPv4 is forwarded now. */
	ipv4Forwarding(): boolean;
}

export interface RuntimeFacts {
	readonly defaultName: string;
	/** What the default says of itself; "N/A" where it says nothing. */
	readonly program: { readonly name: string; readonly version: string; readonly commit: string };
	readonly all: readonly {
		readonly name: string;
		readonly path: string;
		readonly args: readonly string[];
		/** JSON of the runtime's `features`. */
		readonly features?: string;
	}[];
}
