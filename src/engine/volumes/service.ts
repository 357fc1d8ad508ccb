import type { VolumeContent, VolumeDriver } from "../../drivers/volume/driver.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import { createId } from "../../shared/id.ts";
import type { Logger } from "../../shared/log.ts";
import type { VolumeRow, VolumeStore } from "../../store/volumes.ts";
import type { Events } from "../events.ts";
import { createLocks, type Locks } from "../lock.ts";
import type { ContainerVolumes, VolumeHolder, VolumeRecord, VolumeRequest, Volumes, VolumeUse } from "./contract.ts";
import { ANONYMOUS_LABEL, checkVolumeName } from "./names.ts";
import { VolumeReferences } from "./references.ts";

export interface VolumeParts {
	readonly store: VolumeStore;
	readonly driver: VolumeDriver;
	readonly events: Pick<Events, "publish">;
	readonly log: Logger;
}

/** Volumes of one driver: the row is written before the directory is made, and goes after it is gone. */
export class VolumeService implements Volumes, ContainerVolumes {
	private readonly locks: Locks = createLocks();
	/** Containers that have a volume, and those among them that have it mounted now. */
	private readonly held = new VolumeReferences();
	private readonly mounted = new VolumeReferences();
	private readonly uses = new Map<string, readonly VolumeUse[]>();

	constructor(private readonly parts: VolumeParts) {}

	async create(request: VolumeRequest): Promise<VolumeRecord> {
		const name = request.name || createId();
		const labels = request.name ? (request.labels ?? null) : { ...request.labels, [ANONYMOUS_LABEL]: "" };
		return this.locks.run(name, async () => this.ensure({ ...request, name, labels }));
	}

	inspect(name: string): VolumeRecord {
		const row = this.parts.store.get(name);
		if (!row || row.removing) throw new EngineError("not-found", `get ${name}: no such volume`);
		return this.record(row);
	}

	list(): readonly VolumeRecord[] {
		return this.parts.store
			.list()
			.filter(({ removing }) => !removing)
			.map((row) => this.record(row));
	}

	users(name: string): readonly string[] {
		return this.held.of(name);
	}

	async remove(name: string, { force }: { force: boolean }): Promise<void> {
		await this.locks.run(name, async () => {
			try {
				this.inspect(name);
			} catch (error) {
				if (force) return;
				throw error;
			}
			const users = this.held.of(name);
			if (users.length > 0) {
				throw new EngineError("conflict", `remove ${name}: volume is in use - [${users.join(", ")}]`);
			}
			await this.erase(name);
		});
	}

	async prune(accepts: (volume: VolumeRecord) => boolean): Promise<{ deleted: string[]; reclaimed: number }> {
		const deleted: string[] = [];
		let reclaimed = 0;
		for (const volume of this.list().filter(accepts)) {
			const { name } = volume;
			await this.locks.run(name, async () => {
				if (this.held.of(name).length > 0 || !this.parts.store.get(name)) return;
				const size = await this.parts.driver.usage(name);
				// Held while its size was counted.
				if (this.held.of(name).length > 0) return;
				await this.erase(name);
				deleted.push(name);
				reclaimed += size;
			});
		}
		this.parts.events.publish("volume", "prune", "", { reclaimed: String(reclaimed) });
		return { deleted, reclaimed };
	}

	async usage(): Promise<{ volume: VolumeRecord; size: number; references: number }[]> {
		const found: { volume: VolumeRecord; size: number; references: number }[] = [];
		// One after the other: each is a process that reads a whole tree.
		for (const volume of this.list()) {
			const size = await this.parts.driver.usage(volume.name);
			found.push({ volume, size, references: this.held.of(volume.name).length });
		}
		return found;
	}

	pathOf(name: string): string {
		return this.parts.driver.pathOf(name);
	}

	hold(containerId: string, request: VolumeRequest & { name: string }): Promise<VolumeRecord> {
		return this.locks.run(request.name, async () => {
			const record = this.ensure(request);
			this.held.add(request.name, containerId);
			return record;
		});
	}

	async drop(containerId: string, remove: readonly string[] = []): Promise<void> {
		this.held.dropAll(containerId);
		for (const name of remove) {
			await this.locks.run(name, async () => {
				if (this.held.of(name).length === 0 && this.parts.store.get(name)) await this.erase(name);
			});
		}
	}

	async mount(containerId: string, uses: readonly VolumeUse[]): Promise<void> {
		const { driver, events, store } = this.parts;
		await using undo = new AsyncDisposableStack();
		for (const { name } of uses) {
			await this.locks.run(name, async () => {
				// A directory that somebody took away by hand comes back empty, as docker's does.
				driver.create(name);
				await driver.mount(name, store.get(name)?.options ?? {});
				this.mounted.add(name, containerId);
			});
			undo.defer(() => this.letGo(containerId, name));
		}
		undo.move();
		this.uses.set(containerId, uses);
		for (const { name, destination, writable } of uses) {
			events.publish("volume", "mount", name, {
				container: containerId,
				destination,
				driver: driver.name,
				propagation: "",
				"read/write": String(writable),
			});
		}
	}

	unmount(containerId: string): void {
		const uses = this.uses.get(containerId) ?? [];
		this.uses.delete(containerId);
		for (const { name } of uses) {
			this.letGo(containerId, name);
			this.parts.events.publish("volume", "unmount", name, {
				container: containerId,
				driver: this.parts.driver.name,
			});
		}
	}

	wantsContent(name: string): boolean {
		const { driver, store } = this.parts;
		const options = store.get(name)?.options ?? {};
		return driver.isEmpty(name) || Object.keys(options).length > 0;
	}

	populate(name: string, content: Omit<VolumeContent, "inUse">) {
		return this.locks.run(name, async () => {
			const { driver, store } = this.parts;
			await driver.mount(name, store.get(name)?.options ?? {});
			try {
				return await driver.populate(name, { ...content, inUse: this.mounted.of(name).length > 0 });
			} finally {
				if (this.mounted.of(name).length === 0) driver.unmount(name);
			}
		});
	}

	/** Takes over what an earlier daemon left: finishes removals, adopts directories that no row knows, and mounts that no container has go. */
	async open(holders: readonly VolumeHolder[]): Promise<void> {
		const { store, driver, log } = this.parts;
		for (const { name, removing } of store.list()) {
			if (removing) await this.erase(name);
		}
		for (const name of driver.found()) {
			if (!store.get(name)) this.adopt(name);
		}
		for (const { containerId, requests, mounted } of holders) {
			for (const request of requests) {
				try {
					this.ensure(request);
				} catch (error) {
					log.warn("volume of a container not restored", {
						name: request.name,
						id: containerId,
						error: messageOf(error),
					});
				}
				this.held.add(request.name, containerId);
			}
			for (const { name } of mounted) this.mounted.add(name, containerId);
			if (mounted.length > 0) this.uses.set(containerId, mounted);
		}
		for (const { name } of store.list()) {
			driver.create(name);
			if (this.mounted.of(name).length === 0 && driver.isMounted(name)) driver.unmount(name);
		}
	}

	close(): Promise<void> {
		return this.parts.driver.close();
	}

	/** The volume of that name, made when there is none. Under its lock. */
	private ensure(request: VolumeRequest & { name: string }): VolumeRecord {
		const { store, driver, events } = this.parts;
		const { name, options = null, labels = null } = request;
		if (request.driver && request.driver !== driver.name) {
			const plugin = request.driver;
			throw new EngineError(
				"not-found",
				`create ${name}: error looking up volume plugin ${plugin}: plugin ${JSON.stringify(plugin)} not found`,
			);
		}
		const known = store.get(name);
		if (known) return this.record(known);
		checkVolumeName(name);
		try {
			driver.checkOptions(options ?? {});
		} catch (cause) {
			throw new EngineError("invalid", `create ${name}: ${messageOf(cause)}`, { cause });
		}
		const row = { name, driver: driver.name, created: wholeSeconds(new Date()), labels, options };
		store.add(row);
		try {
			driver.create(name);
		} catch (error) {
			store.delete(name);
			throw error;
		}
		events.publish("volume", "create", name, { driver: driver.name });
		return this.record(row);
	}

	private adopt(name: string): void {
		try {
			checkVolumeName(name);
		} catch {
			return;
		}
		const { store, driver, log } = this.parts;
		store.add({ name, driver: driver.name, created: wholeSeconds(new Date()), labels: null, options: null });
		log.info("volume found on disk", { name });
	}

	/** The row stays until the data is out of the way: a daemon that dies in between finishes at its next start. */
	private async erase(name: string): Promise<void> {
		const { store, driver, events } = this.parts;
		store.markRemoving(name);
		await driver.remove(name);
		store.delete(name);
		events.publish("volume", "destroy", name, { driver: driver.name });
	}

	private letGo(containerId: string, name: string): void {
		const { driver, log } = this.parts;
		this.mounted.drop(name, containerId);
		if (this.mounted.of(name).length > 0) return;
		try {
			driver.unmount(name);
		} catch (error) {
			log.warn("volume not unmounted", { name, error: messageOf(error) });
		}
	}

	private record({ name, driver, created, labels, options }: Omit<VolumeRow, "removing">): VolumeRecord {
		return { name, driver, created, labels, options, mountpoint: this.parts.driver.pathOf(name) };
	}
}

function wholeSeconds(date: Date): string {
	return date.toISOString().replace(/\.\d+Z$/, "Z");
}
