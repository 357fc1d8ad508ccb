import { type Decode, map, nullable, object, string } from "../body.ts";

export interface VolumeCreate {
	readonly Name: string;
	readonly Driver: string;
	readonly DriverOpts: Record<string, string> | null;
	readonly Labels: Record<string, string> | null;
}

/** The body of `POST /volumes/create`. */
export const decodeVolumeCreate: Decode<VolumeCreate & { clustered: boolean }> = (value, path) => {
	const { ClusterVolumeSpec, ...plain } = object({
		Name: string(),
		Driver: string(),
		DriverOpts: nullable(map(string())),
		Labels: nullable(map(string())),
		ClusterVolumeSpec: (spec): boolean => spec !== undefined && spec !== null,
	})(value, path);
	return { ...plain, clustered: ClusterVolumeSpec };
};
