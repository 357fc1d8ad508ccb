import { EngineError, messageOf } from "../../../shared/errors.ts";
import type { VolumeHolder, VolumeRequest, VolumeUse } from "../../volumes/contract.ts";
import { ANONYMOUS_LABEL } from "../../volumes/names.ts";
import type { Context } from "../context.ts";
import type { ContainerRecord, MountPoint } from "../record.ts";

/** What the engine mounts in /etc: a read-only volume there needs them as mount points. */
const ENGINE_FILES = ["hostname", "hosts", "resolv.conf"];

type Named = MountPoint & { readonly name: string };

function volumesOf({ mounts }: Pick<ContainerRecord, "mounts">): Named[] {
	return (mounts ?? []).filter((point): point is Named => point.type === "volume" && point.name !== undefined);
}

/** How each volume of a container is made where there is none. */
export function volumeRequests(record: Pick<ContainerRecord, "mounts">): (VolumeRequest & { name: string })[] {
	return volumesOf(record).map(({ name, anonymous, create }) => ({
		name,
		...create,
		...(anonymous && { labels: { ...create?.labels, [ANONYMOUS_LABEL]: "" } }),
	}));
}

/** Each once, whatever number of places it is mounted at. */
export function volumeUses(record: Pick<ContainerRecord, "mounts">): VolumeUse[] {
	return volumesOf(record).map(({ name, target, readonly }) => ({ name, destination: target, writable: !readonly }));
}

export function volumeHolder(record: ContainerRecord, runs: boolean): VolumeHolder {
	return { containerId: record.id, requests: volumeRequests(record), mounted: runs ? volumeUses(record) : [] };
}

/** Names of the volumes that go with the container when its removal is asked to take them. */
export function anonymousNames(record: Pick<ContainerRecord, "mounts">): string[] {
	return volumesOf(record).flatMap(({ name, anonymous }) => (anonymous ? [name] : []));
}

/** Creates or finds every volume of a new container, and puts the image's content into the empty ones. */
export async function holdVolumes(context: Context, record: ContainerRecord): Promise<void> {
	for (const request of volumeRequests(record)) await context.volumes.hold(record.id, request);
}

/** Needs the snapshot, which nothing runs in yet. */
export async function populateVolumes(context: Context, record: ContainerRecord): Promise<void> {
	const { volumes, snapshotter } = context;
	const wanting = volumesOf(record).filter(
		({ name, copy, subpath }) => copy && (subpath !== undefined || volumes.wantsContent(name)),
	);
	if (wanting.length === 0) return;
	const root = snapshotter.mount(record.id);
	try {
		for (const { name, target, subpath, declared } of wanting) {
			const files = target === "/etc" ? ENGINE_FILES : [];
			const found = await volumes.populate(name, { root, path: target, files, ...(subpath && { subpath }) });
			if (found === "file" && declared) {
				throw new EngineError("invalid", `cannot mount volume over existing file, file exists ${root}${target}`);
			}
		}
	} finally {
		snapshotter.unmount(record.id);
	}
}

/** A daemon that died amid a create may have left volumes without the image's content: those that are still empty get it now. */
export async function finishVolumes(context: Context): Promise<void> {
	for (const record of context.store.list()) {
		if (record.state.status !== "created") continue;
		try {
			await context.locks.run(record.id, () => populateVolumes(context, record));
		} catch (error) {
			context.log.warn("volumes not filled", { id: record.id, error: messageOf(error) });
		}
	}
}
