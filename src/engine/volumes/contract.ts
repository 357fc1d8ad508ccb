import type { Populated, VolumeContent } from "../../drivers/volume/driver.ts";

export interface VolumeRecord {
	readonly name: string;
	readonly driver: string;
	/** RFC 3339, whole seconds as docker's. */
	readonly created: string;
	readonly labels: Readonly<Record<string, string>> | null;
	readonly options: Readonly<Record<string, string>> | null;
	/** The directory that containers get. */
	readonly mountpoint: string;
}

export interface VolumeRequest {
	/** Absent: an anonymous volume, whose name the engine makes up. */
	readonly name?: string;
	/** "local" unless given. */
	readonly driver?: string;
	readonly options?: Readonly<Record<string, string>> | null;
	readonly labels?: Readonly<Record<string, string>> | null;
}

/** What api asks of the volumes noun. */
export interface Volumes {
	/** Gives the one of that name when it is there already, as it is. "invalid" or "not-found" in docker's words (`create NAME: ...`). */
	create(request: VolumeRequest): Promise<VolumeRecord>;
	/** "not-found" `get NAME: no such volume` */
	inspect(name: string): VolumeRecord;
	/** Oldest first. */
	list(): readonly VolumeRecord[];
	/** Ids of the containers that have it, running or not. */
	users(name: string): readonly string[];
	/** "conflict" while a container has it, forced or not; `force` only lets an absent one pass. */
	remove(name: string, options: { force: boolean }): Promise<void>;
	/** Removes those no container has and `accepts` holds for; bytes reclaimed. */
	prune(accepts: (volume: VolumeRecord) => boolean): Promise<{ deleted: string[]; reclaimed: number }>;
	/** Every volume with its bytes on disk and how many containers have it. */
	usage(): Promise<{ volume: VolumeRecord; size: number; references: number }[]>;
}

/** One volume of one container, as it was mounted or is to be. */
export interface VolumeUse {
	readonly name: string;
	readonly destination: string;
	readonly writable: boolean;
}

/** What containers ask of volumes. A container holds its volumes from create to remove, and has them mounted while it runs. */
export interface ContainerVolumes {
	/** The directory a volume of that name has or would have. */
	pathOf(name: string): string;
	/** Creates or finds the volume, which nobody can remove until `drop`. */
	hold(containerId: string, request: VolumeRequest & { name: string }): Promise<VolumeRecord>;
	/** Lets go of all that the container holds, and removes those of `remove` that no other container holds. */
	drop(containerId: string, remove?: readonly string[]): Promise<void>;
	/** Mounts for a start; undone whole when one fails. Publishes `mount` for each. */
	mount(containerId: string, uses: readonly VolumeUse[]): Promise<void>;
	/** After the end of a run; safe to repeat. Publishes `unmount` for each that was mounted. */
	unmount(containerId: string): void;
	/** Whether content of the image would go into it: it is empty (one with a mount of its own counts as such). */
	wantsContent(name: string): boolean;
	/** Copies content of a mounted root at `path` into it while it is empty. */
	populate(name: string, content: Omit<VolumeContent, "inUse">): Promise<Populated>;
	/** Takes over what an earlier daemon left; before anything else. */
	open(holders: readonly VolumeHolder[]): Promise<void>;
	close(): Promise<void>;
}

/** A container that an earlier daemon left. */
export interface VolumeHolder {
	readonly containerId: string;
	readonly requests: readonly (VolumeRequest & { name: string })[];
	/** What it has mounted: nothing when it does not run. */
	readonly mounted: readonly VolumeUse[];
}
