import { mkdirSync, statSync } from "node:fs";
import { EngineError, messageOf } from "../../../shared/errors.ts";
import type { Context } from "../context.ts";
import type { AskedMount } from "../mounts.ts";
import type { ContainerRecord, MountPoint } from "../record.ts";
import { cleanPath } from "./target.ts";
import { tmpfsOptions } from "./tmpfs.ts";
import { volumeUses } from "./volumes.ts";

/** The sources that --mount needs are there. */
export function checkSources(points: readonly MountPoint[]): void {
	for (const { type, createSource, source } of points) {
		if (type !== "bind" || createSource || exists(source)) continue;
		throw new EngineError(
			"invalid",
			`invalid mount config for type "bind": bind source path does not exist: ${source}`,
		);
	}
}

/** Makes ready what a start mounts: volumes mounted, parts and images staged, sources made. `releaseMounts` undoes it. */
export async function prepareMounts(context: Context, record: ContainerRecord): Promise<AskedMount[]> {
	const points = record.mounts ?? [];
	await context.volumes.mount(record.id, volumeUses(record));
	const asked = points.map((point) => askedMount(context, record.id, point));
	const tmpfs = Object.entries(record.hostConfig.Tmpfs ?? {}).map(
		([target, options]): AskedMount => ({
			type: "tmpfs",
			source: "tmpfs",
			target: cleanPath(target),
			options: tmpfsOptions(options),
			propagation: "",
		}),
	);
	const over = new Set(tmpfs.map(({ target }) => target));
	return [...asked.filter(({ target }) => !over.has(target)), ...tmpfs];
}

/** After the end of a run, or a start that failed. */
export function releaseMounts(context: Context, id: string): void {
	context.stage.release(id);
	context.volumes.unmount(id);
}

function askedMount(context: Context, id: string, point: MountPoint): AskedMount {
	const { target, propagation } = point;
	if (point.type === "tmpfs") {
		return { type: "tmpfs", source: "tmpfs", target, options: [...(point.options ?? [])], propagation: "" };
	}
	if (point.createSource) createSource(point.source);
	const source = sourceOf(context, id, point);
	if (point.type === "bind") checkPropagation(context, point);
	const options = [point.nonRecursive ? "bind" : "rbind", ...accessOptions(context, point, source)];
	return { type: "bind", source, target, options: [...options, propagation || "rprivate"], propagation };
}

/** A path that nobody can swap under the runtime: parts of volumes and images are staged. */
function sourceOf(context: Context, id: string, point: MountPoint): string {
	const { stage, snapshotter } = context;
	if (point.type === "bind") return point.source;
	const base =
		point.type === "image"
			? stage.layers(
					id,
					(point.image?.chain ?? []).map((chainId) => snapshotter.layerPath(chainId)),
				)
			: point.source;
	return point.subpath ? stage.subpath(id, base, point.subpath) : base;
}

/** Read-only reaches what is mounted below, as docker has it, where the kernel can and unless asked otherwise. */
function accessOptions({ stage }: Context, { readonly, submounts }: MountPoint, source: string): string[] {
	if (!readonly) return ["rw"];
	// nothing is mounted below a file, and crun takes `rro` for directories alone
	if (submounts === "writable" || isOther(source)) return ["ro"];
	if (stage.recursiveReadOnly) return ["ro", "rro"];
	if (submounts !== "force-readonly") return ["ro"];
	throw new EngineError(
		"invalid",
		"recursively read-only mounts are not supported by this kernel: it needs Linux 5.12",
	);
}

/** Propagation out of and into the container needs a mount on the host that takes part in it. */
function checkPropagation({ stage }: Context, { source, propagation }: MountPoint): void {
	if (!/shared|slave/.test(propagation) || !exists(source)) return;
	const { mountPoint, shared, slave } = stage.mountOf(source);
	const wantsShared = propagation.endsWith("shared");
	if (shared || (slave && !wantsShared)) return;
	const needed = wantsShared ? "a shared mount" : "a shared or slave mount";
	throw new EngineError("invalid", `path ${source} is mounted on ${mountPoint} but it is not ${needed}`);
}

function createSource(source: string): void {
	if (exists(source)) return;
	try {
		mkdirSync(source, { recursive: true, mode: 0o755 });
	} catch (cause) {
		throw new EngineError("internal", `error while creating mount source path '${source}': ${messageOf(cause)}`, {
			cause,
		});
	}
}

/** Whether there is something that is no directory. */
function isOther(path: string): boolean {
	return exists(path) && !statSync(path).isDirectory();
}

function exists(path: string): boolean {
	try {
		return statSync(path, { throwIfNoEntry: false }) !== undefined;
	} catch {
		// Below a file, or out of reach: making it tells why.
		return false;
	}
}
