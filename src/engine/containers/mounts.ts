import { mkdirSync, statSync } from "node:fs";
import { posix } from "node:path";
import type { SpecMount } from "../../oci/runtime-spec.ts";
import { EngineError, messageOf } from "../../shared/errors.ts";
import type { HostConfig, MountRequest } from "./config.ts";

/** One mount a client asked for, whichever field it came in. */
export interface AskedMount {
	readonly type: "bind" | "tmpfs";
	readonly source: string;
	readonly target: string;
	readonly readonly: boolean;
	readonly propagation: string;
	readonly recursive: boolean;
	/** Bind: make the source when it is missing, as docker does for -v but not for --mount. */
	readonly createSource: boolean;
	/** tmpfs: options for the kernel. */
	readonly options: readonly string[];
}

const PROPAGATIONS = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];
const TMPFS_FLAGS =
	"ro rw nosuid suid nodev dev noexec exec sync async dirsync remount noatime atime nodiratime diratime relatime norelatime strictatime nostrictatime private rprivate shared rshared slave rslave unbindable runbindable".split(
		" ",
	);
const TMPFS_VALUES = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];

const invalid = (message: string) => new EngineError("invalid", message);

/** All mounts asked for, checked; "invalid" in docker's words. Reads nothing of the host. */
export function mountsAsked(host: Pick<HostConfig, "Binds" | "Mounts" | "Tmpfs">): AskedMount[] {
	const mounts = [
		...(host.Binds ?? []).map(parseBind),
		...(host.Mounts ?? []).map(parseMount),
		...Object.entries(host.Tmpfs ?? {}).map(([target, options]) => parseTmpfs(target, options)),
	];
	const seen = new Set<string>();
	for (const { target } of mounts) {
		if (seen.has(target)) throw invalid(`Duplicate mount point: ${target}`);
		seen.add(target);
	}
	return mounts;
}

/** The sources that --mount needs are there. */
export function checkSources(mounts: readonly AskedMount[]): void {
	for (const mount of mounts) {
		if (mount.type !== "bind" || mount.createSource || exists(mount.source)) continue;
		throw invalid(`invalid mount config for type "bind": bind source path does not exist: ${mount.source}`);
	}
}

/** Makes the missing sources of -v. */
export function createSources(mounts: readonly AskedMount[]): void {
	for (const { type, createSource, source } of mounts) {
		if (type !== "bind" || !createSource || exists(source)) continue;
		try {
			mkdirSync(source, { recursive: true, mode: 0o755 });
		} catch (cause) {
			throw new EngineError("internal", `error while creating mount source path '${source}': ${messageOf(cause)}`, {
				cause,
			});
		}
	}
}

/** Outer targets before inner ones, so that /a does not hide /a/b. */
export function specMounts(mounts: readonly AskedMount[]): SpecMount[] {
	return mounts.map(specMount).sort((a, b) => a.destination.split("/").length - b.destination.split("/").length);
}

function specMount(mount: AskedMount): SpecMount {
	const destination = mount.target;
	if (mount.type === "tmpfs") return { destination, type: "tmpfs", source: "tmpfs", options: [...mount.options] };
	const options = [mount.recursive ? "rbind" : "bind", mount.readonly ? "ro" : "rw", mount.propagation];
	return { destination, type: "bind", source: mount.source, options };
}

function parseBind(spec: string): AskedMount {
	const [source = "", target = "", mode = "", ...rest] = spec.split(":");
	if (rest.length > 0 || source === "" || target === "") throw invalid(`invalid volume specification: '${spec}'`);
	if (!source.startsWith("/")) {
		if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(source)) {
			throw new EngineError(
				"unsupported",
				`HostConfig.Binds ${JSON.stringify(spec)} is not supported yet: named volumes; give an absolute path`,
			);
		}
		throw invalid(
			`create ${source}: ${JSON.stringify(source)} includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
		);
	}
	let readonly = false;
	let propagation = "rprivate";
	checkModes(mode, spec);
	for (const word of mode === "" ? [] : mode.split(",")) {
		if (word === "ro" || word === "rw") readonly = word === "ro";
		else if (PROPAGATIONS.includes(word)) propagation = word;
		// z and Z relabel for SELinux, which is not in use.
		else if (!["z", "Z"].includes(word)) throw invalid(`invalid mode: ${mode}`);
	}
	const prefix = `invalid volume specification: '${spec}': invalid mount config for type "bind": `;
	return { ...bind(source, checkTarget(target, prefix)), readonly, propagation };
}

/** One word of each sort; nocopy is for volumes. */
function checkModes(mode: string, spec: string): void {
	const words = mode.split(",");
	if (words.includes("nocopy")) {
		throw invalid(
			`invalid volume specification: '${spec}': invalid mount config for type "bind": field VolumeOptions must not be specified`,
		);
	}
	const sorts = [["ro", "rw"], PROPAGATIONS, ["z", "Z"]];
	const twice = sorts.some((sort) => words.filter((word) => sort.includes(word)).length > 1);
	if (twice) throw invalid(`invalid mode: ${mode}`);
}

function bind(source: string, target: string): AskedMount {
	return {
		type: "bind",
		source: posix.normalize(source),
		target,
		readonly: false,
		propagation: "rprivate",
		recursive: true,
		createSource: true,
		options: [],
	};
}

/** The clean path; `prefix` is what docker says before the reason. */
function checkTarget(target: string, prefix: string): string {
	if (!target.startsWith("/")) throw invalid(`${prefix}invalid mount path: '${target}' mount path must be absolute`);
	const clean = posix.normalize(target).replace(/(.)\/$/, "$1");
	if (clean === "/") throw invalid(`${prefix}invalid specification: destination can't be '/'`);
	return clean;
}

function parseMount(mount: MountRequest): AskedMount {
	const wrong = (reason: string) => invalid(`invalid mount config for type "${mount.Type}": ${reason}`);
	if (mount.Target === "") throw wrong("field Target must not be empty");
	const target = checkTarget(mount.Target, `invalid mount config for type "${mount.Type}": `);
	if (mount.Type === "tmpfs") {
		if (mount.Source) throw wrong("field Source must not be specified");
		if (mount.BindOptions) throw invalid('BindOptions must not be specified on mount type "tmpfs"');
		const { SizeBytes = 0, Mode = 0 } = mount.TmpfsOptions ?? {};
		const words = [
			mount.ReadOnly ? "ro" : "",
			SizeBytes ? `size=${SizeBytes}` : "",
			Mode ? `mode=${Mode.toString(8)}` : "",
		];
		return parseTmpfs(target, words.filter(Boolean).join(","));
	}
	if (!mount.Source) throw wrong("field Source must not be empty");
	if (!mount.Source.startsWith("/")) throw wrong(`invalid mount path: '${mount.Source}' mount path must be absolute`);
	if (mount.TmpfsOptions) throw invalid('TmpfsOptions must not be specified on mount type "bind"');
	const { Propagation, NonRecursive, CreateMountpoint } = mount.BindOptions ?? {};
	if (Propagation && !PROPAGATIONS.includes(Propagation)) throw wrong(`invalid propagation mode: ${Propagation}`);
	return {
		...bind(mount.Source, target),
		readonly: mount.ReadOnly ?? false,
		propagation: Propagation || "rprivate",
		recursive: !NonRecursive,
		createSource: CreateMountpoint ?? false,
	};
}

function parseTmpfs(target: string, text: string): AskedMount {
	const asked = text === "" ? [] : text.split(",");
	for (const word of asked) {
		const [key = "", value] = word.split("=");
		const known = value === undefined ? TMPFS_FLAGS.includes(key) : TMPFS_VALUES.includes(key);
		if (!known) throw invalid(`invalid tmpfs option ${JSON.stringify(word)}`);
	}
	const options = ["noexec", "nosuid", "nodev", ...asked];
	return { ...bind("/", checkTarget(target, "")), type: "tmpfs", source: "tmpfs", createSource: false, options };
}

function exists(path: string): boolean {
	return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
