/**
 * Where volumes' data lies. A volume is a directory of its name; one with options is something else (a tmpfs, an NFS share, a host
 * directory) mounted on that directory while containers run with it. Names are checked by the engine: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
 */
export interface VolumeDriver {
	/** docker's name of the driver: "local" */
	readonly name: string;
	/** Throws "invalid" in docker's words for options that cannot be honoured. Touches nothing. */
	checkOptions(options: VolumeOptions): void;
	/** The directory that containers get, absolute, mounted or not. */
	pathOf(name: string): string;
	/** Makes the directory; one that is there stays as it is. */
	create(name: string): void;
	/** Takes the volume and its data away; safe to repeat. Returns once it is out of the way (bulk deletion may go on behind). */
	remove(name: string): Promise<void>;
	/** Names that have a directory. */
	found(): string[];
	/** Mounts what the options ask for, unless it is mounted. Throws "internal" in docker's words. */
	mount(name: string, options: VolumeOptions): Promise<void>;
	unmount(name: string): void;
	/** Whether something is mounted on the directory. */
	isMounted(name: string): boolean;
	isEmpty(name: string): boolean;
	/** Bytes of all files below it, hard links counted once. */
	usage(name: string): Promise<number>;
	/** Copies what lies at `path` inside `root` into the volume while that is empty. Off the event loop. */
	populate(name: string, content: VolumeContent): Promise<Populated>;
	/** Ends once deletions under way have. */
	close(): Promise<void>;
}

/** docker's DriverOpts; empty: a plain directory. */
export type VolumeOptions = Readonly<Record<string, string>>;

export interface VolumeContent {
	/** A mounted root filesystem nothing runs in. */
	readonly root: string;
	/** Absolute path in it; links are followed as if `root` were `/`. */
	readonly path: string;
	/** The directory inside the volume that takes the content; it must be there. */
	readonly subpath?: string;
	/** Files that are to be there too, empty unless the content has them: what the engine mounts its own files on. */
	readonly files?: readonly string[];
	/** The directory is in use by running containers: it is filled where it is, not replaced. */
	readonly inUse: boolean;
}

/** What was found at the path: nothing is copied from an absent one or from a file, nor into a volume that has content. */
export type Populated = "copied" | "kept" | "absent" | "file";

/**
 * Paths for the runtime to bind from that nobody can swap under it: what they lead to is resolved here, and mounted below a directory of the
 * container until its start is over.
 */
export interface MountStage {
	/** Whether the kernel makes binds read-only with all that is mounted below them (mount_setattr, Linux 5.12). */
	readonly recursiveReadOnly: boolean;
	/** Binds what `subpath` names inside the directory `base`. Throws "invalid" in docker's words when it is absent or leads out of it. */
	subpath(containerId: string, base: string, subpath: string): string;
	/** Mounts layers (directories, base first) read-only over each other; none give an empty directory. */
	layers(containerId: string, directories: readonly string[]): string;
	/** Takes this container's mounts away; what it bound from them stays with it. */
	release(containerId: string): void;
	/** Takes away what an earlier daemon left. */
	sweep(): void;
	/** Mounts a tmpfs of so many bytes on `directory`, which is made, for containers that share memory. What was mounted there goes. */
	mountShared(directory: string, bytes: number): void;
	/** Takes it away; containers that bound it keep it. Safe to repeat. */
	unmountShared(directory: string): void;
	/** The mount that an existing path lies on. */
	mountOf(path: string): { readonly mountPoint: string; readonly shared: boolean; readonly slave: boolean };
}
