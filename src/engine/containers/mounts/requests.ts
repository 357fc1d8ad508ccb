import { EngineError } from "../../../shared/errors.ts";
import { checkVolumeName } from "../../volumes/names.ts";
import type { MountRequest } from "../config.ts";
import type { MountPoint } from "../record.ts";
import { PROPAGATIONS, volume } from "./binds.ts";
import { cleanPath, cleanTarget } from "./target.ts";
import { tmpfsMountOptions } from "./tmpfs.ts";

const OWNERS = { BindOptions: "bind", VolumeOptions: "volume", TmpfsOptions: "tmpfs", ImageOptions: "image" } as const;

const invalid = (message: string) => new EngineError("invalid", message);

/** One entry of HostConfig.Mounts; "invalid" in docker's words. An image is named, not looked up. */
export function parseMount(mount: MountRequest): MountPoint {
	for (const [field, type] of Object.entries(OWNERS)) {
		if (mount[field as keyof typeof OWNERS] === undefined || mount.Type === type) continue;
		if (field === "ImageOptions") throw wrong(mount, "field ImageOptions must not be specified");
		throw invalid(`${field} must not be specified on mount type "${mount.Type}"`);
	}
	if (mount.Target === "") throw wrong(mount, "field Target must not be empty");
	const target = cleanTarget(mount.Target, `invalid mount config for type "${mount.Type}": `);
	const readonly = mount.ReadOnly ?? false;
	switch (mount.Type) {
		case "bind":
			return bindOf(mount, target, readonly);
		case "volume":
			return volumeOf(mount, target, readonly);
		case "image":
			return imageOf(mount, target);
		case "tmpfs":
			if (mount.Source) throw wrong(mount, "field Source must not be specified");
			return {
				type: "tmpfs",
				source: "",
				target,
				mode: "",
				readonly,
				propagation: "",
				options: tmpfsMountOptions(mount),
			};
	}
}

function wrong({ Type }: MountRequest, reason: string): EngineError {
	return invalid(`invalid mount config for type "${Type}": ${reason}`);
}

function bindOf(mount: MountRequest, target: string, readonly: boolean): MountPoint {
	const { Source: source = "", BindOptions: options = {} } = mount;
	if (source === "") throw wrong(mount, "field Source must not be empty");
	if (!source.startsWith("/")) throw wrong(mount, `invalid mount path: '${source}' mount path must be absolute`);
	const { Propagation = "", ReadOnlyNonRecursive, ReadOnlyForceRecursive } = options;
	if (Propagation && !PROPAGATIONS.includes(Propagation)) {
		throw wrong(mount, `invalid propagation mode: ${Propagation}`);
	}
	for (const [field, set] of Object.entries({ ReadOnlyNonRecursive, ReadOnlyForceRecursive })) {
		if (set && !readonly) throw invalid(`mount options conflict: !ReadOnly && BindOptions.${field}`);
	}
	if (ReadOnlyNonRecursive && ReadOnlyForceRecursive) {
		throw invalid("mount options conflict: ReadOnlyNonRecursive && ReadOnlyForceRecursive");
	}
	return {
		type: "bind",
		source: cleanPath(source),
		target,
		mode: "",
		readonly,
		propagation: Propagation || "rprivate",
		createSource: options.CreateMountpoint ?? false,
		...(options.NonRecursive && { nonRecursive: true }),
		...(ReadOnlyNonRecursive && { submounts: "writable" as const }),
		...(ReadOnlyForceRecursive && { submounts: "force-readonly" as const }),
	};
}

function volumeOf(mount: MountRequest, target: string, readonly: boolean): MountPoint {
	const { Source: name = "", VolumeOptions: options = {} } = mount;
	const { NoCopy, Labels, DriverConfig, Subpath } = options;
	if (Subpath) {
		if (name === "") throw wrong(mount, "must not set Subpath when using anonymous volumes");
		checkSubpath(mount, Subpath);
	}
	if (name !== "") checkVolumeName(name);
	else if (readonly) throw wrong(mount, "must not set ReadOnly mode when using anonymous volumes");
	const create = {
		...(DriverConfig?.Name && { driver: DriverConfig.Name }),
		...(DriverConfig?.Options && { options: DriverConfig.Options }),
		...(Labels && { labels: Labels }),
	};
	return {
		...volume(name, target, "z", Object.keys(create).length > 0 ? { create } : {}),
		readonly,
		copy: !NoCopy,
		...(Subpath && { subpath: Subpath }),
		...(name === "" && { anonymous: true }),
	};
}

function imageOf(mount: MountRequest, target: string): MountPoint {
	const { Source: name = "", ImageOptions: options = {} } = mount;
	if (name === "") throw wrong(mount, "field Source must not be empty");
	if (options.Subpath) checkSubpath(mount, options.Subpath);
	const base = { type: "image" as const, name, source: "", target, mode: "", readonly: true, propagation: "rprivate" };
	return { ...base, ...(options.Subpath && { subpath: options.Subpath }) };
}

/** Inside by its words alone; what links make of it is looked at when it is mounted. */
function checkSubpath(mount: MountRequest, subpath: string): void {
	const clean = cleanPath(subpath);
	if (subpath.startsWith("/") || clean === ".." || clean.startsWith("../")) {
		throw wrong(mount, "subpath must be a relative path within the volume");
	}
}
