import { EngineError } from "../../../shared/errors.ts";
import { checkVolumeName } from "../../volumes/names.ts";
import type { MountPoint } from "../record.ts";
import { cleanPath, cleanTarget } from "./target.ts";

export const PROPAGATIONS = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

const invalid = (message: string) => new EngineError("invalid", message);

/** One entry of HostConfig.Binds: `/host:/path[:mode]`, `volume:/path[:mode]` or `/path`; "invalid" in docker's words. */
export function parseBind(spec: string, driver: string | undefined): MountPoint {
	const parts = spec.split(":");
	if (parts.length > 3 || parts.slice(0, 2).includes("")) throw invalid(`invalid volume specification: '${spec}'`);
	const [first = "", second, mode = ""] = parts;
	const create = driver ? { driver } : undefined;
	if (second === undefined) {
		const target = cleanTarget(first, prefixOf(spec, "volume"));
		return { ...volume("", target, "z", { create }), anonymous: true };
	}
	const words = mode === "" ? [] : mode.split(",");
	checkMode(mode, words);
	const readonly = words.includes("ro");
	const propagation = words.find((word) => PROPAGATIONS.includes(word));
	const type = first.startsWith("/") ? "bind" : "volume";
	const prefix = prefixOf(spec, type);
	const target = cleanTarget(second, prefix);
	if (type === "bind") {
		if (words.includes("nocopy")) throw invalid(`${prefix}field VolumeOptions must not be specified`);
		const bind = { source: cleanPath(first), target, mode, readonly, propagation: propagation ?? "rprivate" };
		return { type, ...bind, createSource: true };
	}
	if (propagation) throw invalid(`${prefix}field BindOptions must not be specified`);
	checkVolumeName(first);
	return { ...volume(first, target, mode || "z", { create }), readonly, copy: !words.includes("nocopy") };
}

/** A volume's mount; without a name it is the caller's to give one. */
export function volume(name: string, target: string, mode: string, more: Partial<MountPoint> = {}): MountPoint {
	const base = { type: "volume" as const, source: "", target, mode, readonly: false, propagation: "", copy: true };
	const { create, ...rest } = more;
	return { ...base, ...(name && { name }), ...rest, ...(create && { create }) };
}

function prefixOf(spec: string, type: string): string {
	return `invalid volume specification: '${spec}': invalid mount config for type "${type}": `;
}

/** Of Docker Desktop's shares; they mean nothing on Linux. */
const CONSISTENCIES = ["consistent", "cached", "delegated"];

/** One word of each sort at most. */
function checkMode(mode: string, words: readonly string[]): void {
	const sorts = [["ro", "rw"], PROPAGATIONS, ["z", "Z"], ["nocopy"], CONSISTENCIES];
	const known = words.every((word) => sorts.some((sort) => sort.includes(word)));
	const twice = sorts.some((sort) => words.filter((word) => sort.includes(word)).length > 1);
	if (!known || twice) throw invalid(`invalid mode: ${mode}`);
}
