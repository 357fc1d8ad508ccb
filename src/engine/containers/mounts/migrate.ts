import { existsSync, renameSync, rmSync } from "node:fs";
import { type Context, change, containerDir, find } from "../context.ts";
import type { ContainerRecord } from "../record.ts";
import { mountPoints } from "./points.ts";
import { holdVolumes, populateVolumes } from "./volumes.ts";

/**
 * A record of the first version gets its mounts. What was in a declared path then, in the container's writable layer or in a directory of its
 * own, becomes the content of the anonymous volume that takes the place.
 */
export async function migrateMounts(context: Context, record: ContainerRecord): Promise<ContainerRecord> {
	if (record.mounts !== undefined) return record;
	const mounts = mountPoints(record.config, record.hostConfig, {
		container: (ref) => find(context, ref),
		image: (ref) => ({ ...context.images.resolve(ref), path: "" }),
		volumePath: (name) => context.volumes.pathOf(name),
	});
	const migrated = { ...record, mounts };
	await holdVolumes(context, migrated);
	const directory = `${containerDir(context, record.id)}/volumes`;
	Object.keys(record.config.Volumes ?? {}).forEach((path, index) => {
		const old = `${directory}/${index}`;
		const point = mounts.find(({ target, declared }) => declared && target === path.replace(/(.)\/+$/, "$1"));
		// over the new volume's empty directory
		if (point && existsSync(old)) renameSync(old, point.source);
	});
	await populateVolumes(context, migrated);
	rmSync(directory, { recursive: true, force: true });
	change(context, record.id, { mounts });
	return migrated;
}
