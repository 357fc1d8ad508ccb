import type {
	MountStage,
	Populated,
	VolumeContent,
	VolumeDriver,
	VolumeOptions,
} from "../../../drivers/volume/driver.ts";
import { EngineError } from "../../../shared/errors.ts";
import { silentLogger } from "../../../shared/log.ts";
import { openDatabase } from "../../../store/database.ts";
import { VolumeStore, volumesSchema } from "../../../store/volumes.ts";
import type { Events } from "../../events.ts";
import { VolumeService } from "../service.ts";

/** Volumes as names: what is in them is a list of words. */
export class FakeVolumeDriver implements VolumeDriver {
	readonly name = "local";
	readonly content = new Map<string, string[]>();
	readonly mounted = new Set<string>();
	readonly removed: string[] = [];
	/** Thrown by the next mount or removal. */
	failure: unknown;
	populated: Populated = "copied";

	pathOf = (name: string) => `/volumes/${name}/_data`;
	found = () => [...this.content.keys()];
	isMounted = (name: string) => this.mounted.has(name);
	isEmpty = (name: string) => (this.content.get(name) ?? []).length === 0;
	usage = async (name: string) => (this.content.get(name) ?? []).length;
	close = async () => {};

	checkOptions(options: VolumeOptions): void {
		if (Object.hasOwn(options, "bad")) throw new EngineError("invalid", 'invalid option: "bad"');
	}

	create(name: string): void {
		if (!this.content.has(name)) this.content.set(name, []);
	}

	async remove(name: string): Promise<void> {
		this.fail();
		this.content.delete(name);
		this.removed.push(name);
	}

	async mount(name: string, options: VolumeOptions): Promise<void> {
		this.fail();
		if (options.device) this.mounted.add(name);
	}

	unmount(name: string): void {
		this.mounted.delete(name);
	}

	async populate(name: string, { path }: VolumeContent): Promise<Populated> {
		if (!this.isEmpty(name)) return "kept";
		if (this.populated === "copied") this.content.set(name, [path]);
		return this.populated;
	}

	private fail(): void {
		const { failure } = this;
		this.failure = undefined;
		if (failure !== undefined) throw failure;
	}
}

/** Stages as text. */
export class FakeStage implements MountStage {
	recursiveReadOnly = true;
	readonly released: string[] = [];
	mountInfo = { mountPoint: "/", shared: false, slave: false };

	subpath = (containerId: string, base: string, subpath: string) => `/stage/${containerId}${base}/${subpath}`;
	layers = (containerId: string, directories: readonly string[]) => `/stage/${containerId}/${directories.join("+")}`;
	release = (containerId: string) => void this.released.push(containerId);
	/** Directories of shared memory that are mounted, with their bytes. */
	readonly shared = new Map<string, number>();

	sweep = () => {};
	mountShared = (directory: string, bytes: number) => void this.shared.set(directory, bytes);
	unmountShared = (directory: string) => void this.shared.delete(directory);
	mountOf = () => this.mountInfo;
}

/** Volumes over a driver that keeps them in memory; `seen` gets `ACTION NAME` of every event. `keep` is what an earlier one left. */
export function createTestVolumes(keep?: { readonly store: VolumeStore; readonly driver: FakeVolumeDriver }) {
	const store = keep?.store ?? new VolumeStore(openDatabase(":memory:", volumesSchema));
	const driver = keep?.driver ?? new FakeVolumeDriver();
	const seen: string[] = [];
	const publish: Events["publish"] = (_type, action, id) => void seen.push(`${action} ${id}`.trim());
	return { volumes: new VolumeService({ store, driver, events: { publish }, log: silentLogger }), store, driver, seen };
}
