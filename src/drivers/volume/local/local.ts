import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { directorySize } from "../../../sys/linux/directory-size.ts";
import { unmount } from "../../../sys/linux/mount.ts";
import { mountInfos } from "../../../sys/linux/mount-info.ts";
import type { Populated, VolumeContent, VolumeDriver, VolumeOptions } from "../driver.ts";
import { attach } from "./attach.ts";
import { checkOptions, needsMount } from "./options.ts";
import { populate } from "./populate.ts";
import { directoryInside } from "./stage.ts";

/** Below `root`: NAME/_data is the volume, NAME/_draft a copy being made, `.trash/` deleted in the background and swept at open. */
export class LocalVolumes implements VolumeDriver {
	readonly name = "local";
	readonly checkOptions = checkOptions;
	private readonly erasing = new Set<Promise<unknown>>();
	private next = 1;

	constructor(private readonly root: string) {
		mkdirSync(root, { recursive: true, mode: 0o700 });
		// Whatever the directories above are: its files are not for users of the host who have the same numbers (CVE-2021-41091).
		chmodSync(root, 0o700);
		mkdirSync(this.trash, { recursive: true, mode: 0o700 });
		for (const name of readdirSync(this.trash)) this.erase(join(this.trash, name));
		for (const name of this.found()) rmSync(this.draftOf(name), { recursive: true, force: true });
	}

	pathOf(name: string): string {
		return join(this.directoryOf(name), "_data");
	}

	create(name: string): void {
		mkdirSync(this.directoryOf(name), { recursive: true, mode: 0o701 });
		mkdirSync(this.pathOf(name), { recursive: true, mode: 0o755 });
	}

	async remove(name: string): Promise<void> {
		this.unmount(name);
		const place = join(this.trash, `${process.pid}-${Date.now()}-${this.next++}`);
		try {
			renameSync(this.directoryOf(name), place);
		} catch (error) {
			if ((error as { code?: unknown }).code === "ENOENT") return;
			throw error;
		}
		this.erase(place);
	}

	found(): string[] {
		return readdirSync(this.root).filter(
			(name) => !name.startsWith(".") && isDirectory(join(this.root, name, "_data")),
		);
	}

	async mount(name: string, options: VolumeOptions): Promise<void> {
		if (needsMount(options) && !this.isMounted(name)) await attach(this.pathOf(name), options);
	}

	unmount(name: string): void {
		while (unmount(this.pathOf(name))) {}
	}

	isMounted(name: string): boolean {
		const here = statSync(this.pathOf(name), { throwIfNoEntry: false });
		const above = statSync(this.directoryOf(name), { throwIfNoEntry: false });
		if (!here || !above) return false;
		// A bind of the same filesystem shows only in the table of mounts.
		return here.dev !== above.dev || isMountPoint(this.pathOf(name));
	}

	isEmpty(name: string): boolean {
		return readdirSync(this.pathOf(name)).length === 0;
	}

	usage(name: string): Promise<number> {
		return directorySize(this.pathOf(name));
	}

	async populate(name: string, content: VolumeContent): Promise<Populated> {
		const base = this.pathOf(name);
		if (content.subpath === undefined) {
			if (!this.isEmpty(name)) return "kept";
			return populate(content, base, content.inUse || this.isMounted(name) ? undefined : this.draftOf(name));
		}
		using place = directoryInside(base, content.subpath);
		if (!place || readdirSync(place.path).length > 0) return "kept";
		return await populate(content, place.path);
	}

	async close(): Promise<void> {
		await Promise.all(this.erasing);
	}

	private get trash(): string {
		return join(this.root, ".trash");
	}

	private directoryOf(name: string): string {
		return join(this.root, name);
	}

	private draftOf(name: string): string {
		return join(this.directoryOf(name), "_draft");
	}

	private erase(path: string): void {
		// What cannot be deleted is swept at the next open.
		const work = rm(path, { recursive: true, force: true })
			.catch(() => undefined)
			.finally(() => this.erasing.delete(work));
		this.erasing.add(work);
	}
}

function isDirectory(path: string): boolean {
	return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function isMountPoint(path: string): boolean {
	return mountInfos().some(({ mountPoint }) => mountPoint === path);
}
