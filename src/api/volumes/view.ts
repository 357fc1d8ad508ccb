import type { VolumeRecord } from "../../engine/volumes/contract.ts";

/** A volume as dockerd writes it; sizes are in `GET /system/df` alone. */
export function volumeView({ name, driver, created, labels, options, mountpoint }: VolumeRecord) {
	return {
		CreatedAt: created,
		Driver: driver,
		Labels: labels,
		Mountpoint: mountpoint,
		Name: name,
		Options: options,
		Scope: "local",
	};
}

/** One row of `GET /system/df`: bytes, and how many containers have it. */
export function volumeUsageView(of: { volume: VolumeRecord; size: number; references: number }) {
	return { ...volumeView(of.volume), UsageData: { RefCount: of.references, Size: of.size } };
}
