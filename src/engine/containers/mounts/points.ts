import { EngineError } from "../../../shared/errors.ts";
import { createId } from "../../../shared/id.ts";
import type { ContainerConfig, HostConfig } from "../config.ts";
import type { ContainerRecord, MountPoint } from "../record.ts";
import { PROPAGATIONS, parseBind, volume } from "./binds.ts";
import { parseMount } from "./requests.ts";
import { cleanPath, cleanTarget } from "./target.ts";
import { tmpfsOptions } from "./tmpfs.ts";

type Asked = Pick<HostConfig, "Binds" | "Mounts" | "Tmpfs" | "VolumesFrom" | "VolumeDriver">;

const invalid = (message: string) => new EngineError("invalid", message);

/** What Binds and Mounts ask for, checked; "invalid" in docker's words. Reads nothing of the host. */
export function mountsAsked(host: Asked): MountPoint[] {
	const points = [
		...(host.Binds ?? []).map((spec) => parseBind(spec, host.VolumeDriver)),
		...(host.Mounts ?? []).map(parseMount),
	];
	const tmpfs = Object.entries(host.Tmpfs ?? {}).map(([target, options]) => {
		const clean = cleanTarget(target, "");
		tmpfsOptions(options);
		return clean;
	});
	const seen = new Set<string>();
	for (const target of [...points.map((point) => point.target), ...tmpfs]) {
		if (seen.has(target)) throw invalid(`Duplicate mount point: ${target}`);
		seen.add(target);
	}
	for (const spec of host.VolumesFrom ?? []) parseVolumesFrom(spec);
	return points;
}

/** `CONTAINER[:mode]` */
export function parseVolumesFrom(spec: string): { ref: string; readonly: boolean } {
	if (spec === "") throw invalid("volumes-from specification cannot be an empty string");
	const at = spec.indexOf(":");
	const mode = at < 0 ? "" : spec.slice(at + 1);
	const words = mode === "" ? [] : mode.split(",");
	// Propagation and nocopy are the first container's to say.
	if (words.some((word) => !["ro", "rw", "z", "Z"].includes(word) || PROPAGATIONS.includes(word))) {
		throw invalid(`invalid mode: ${mode}`);
	}
	if (at === 0) throw invalid('invalid name or ID supplied: ""');
	return { ref: at < 0 ? spec : spec.slice(0, at), readonly: words.includes("ro") };
}

/** What an image and an instance of it need from elsewhere. */
export interface MountSources {
	/** "not-found" in docker's words. */
	readonly container: (ref: string) => ContainerRecord;
	readonly image: (ref: string) => { readonly id: string; readonly chain: readonly string[]; readonly path: string };
	readonly volumePath: (name: string) => string;
}

/**
 * All mounts of a container to be: those of other containers first, Binds and Mounts over them, and a volume for every declared path that is
 * free. Anonymous volumes get their names here; nothing is made yet.
 */
export function mountPoints(config: ContainerConfig, host: Asked, from: MountSources): MountPoint[] {
	const points = new Map<string, MountPoint>();
	for (const point of inherited(host.VolumesFrom ?? [], from)) points.set(point.target, point);
	for (const point of mountsAsked(host)) points.set(point.target, complete(point, from));
	const tmpfs = new Set(Object.keys(host.Tmpfs ?? {}).map(cleanPath));
	for (const path of Object.keys(config.Volumes ?? {})) {
		const target = cleanPath(path);
		if (points.has(target) || tmpfs.has(target)) continue;
		const create = host.VolumeDriver ? { driver: host.VolumeDriver } : undefined;
		points.set(target, complete(volume("", target, "", { create, anonymous: true, declared: true }), from));
	}
	for (const { source, target } of points.values()) {
		if (`${source}${target}`.includes("\0"))
			throw invalid(`invalid mount path: ${JSON.stringify(target)} has a NUL byte`);
	}
	return [...points.values()];
}

function inherited(specs: readonly string[], from: MountSources): MountPoint[] {
	return specs.flatMap((spec) => {
		const { ref, readonly } = parseVolumesFrom(spec);
		const points = recordOf(ref, from).mounts ?? [];
		return points.map(({ declared: _, ...point }) => ({
			...point,
			mode: "",
			readonly: point.readonly || readonly,
			...(point.type === "volume" && { copy: false }),
		}));
	});
}

function recordOf(ref: string, from: MountSources): ContainerRecord {
	try {
		return from.container(ref);
	} catch (error) {
		// The request is wrong, not its path.
		if (error instanceof EngineError && error.code === "not-found") throw invalid(error.message);
		throw error;
	}
}

function complete(point: MountPoint, from: MountSources): MountPoint {
	if (point.type === "volume") {
		const name = point.name ?? createId();
		return { ...point, name, source: from.volumePath(name) };
	}
	if (point.type !== "image") return point;
	const { id, chain, path } = from.image(point.name ?? "");
	return { ...point, source: path, image: { id, chain } };
}
