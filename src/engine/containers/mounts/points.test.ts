import { expect, test } from "bun:test";
import { EngineError } from "../../../shared/errors.ts";
import type { HostConfig, MountRequest } from "../config.ts";
import type { MountPoint } from "../record.ts";
import { containerConfig, containerRecord, hostConfig } from "../testing/fakes.ts";
import { type MountSources, mountPoints, mountsAsked } from "./points.ts";
import { tmpfsOptions } from "./tmpfs.ts";

const ID = /^[0-9a-f]{64}$/;

const other: MountPoint[] = [
	{
		type: "volume",
		name: "anon",
		source: "/v/anon",
		target: "/data",
		mode: "",
		readonly: false,
		propagation: "",
		anonymous: true,
		declared: true,
		copy: true,
	},
	{ type: "bind", source: "/host", target: "/conf", mode: "ro", readonly: true, propagation: "rprivate" },
];

const from: MountSources = {
	container: (ref) => {
		if (ref !== "other") throw new EngineError("not-found", `No such container: ${ref}`);
		return containerRecord({ mounts: other });
	},
	image: (ref) => ({ id: `sha256:${ref}`, chain: ["sha256:base", "sha256:top"], path: "/layers/2" }),
	volumePath: (name) => `/v/${name}`,
};

function points(host: Partial<HostConfig>, volumes: string[] = []): MountPoint[] {
	const Volumes = Object.fromEntries(volumes.map((path) => [path, {}]));
	return mountPoints(containerConfig({ Volumes }), hostConfig(host), from);
}

const mount = (request: Partial<MountRequest>) => ({
	Mounts: [{ Type: "volume", Target: "/x", ...request } as MountRequest],
});

test("binds: a host path, a named volume, and a path alone", () => {
	const [bind, named, bare, anonymous] = points({
		Binds: ["/src/:/b/:rshared,ro,z", "data:/n:ro,nocopy", "more:/m", "/a"],
	});
	expect(bind).toMatchObject({
		type: "bind",
		source: "/src",
		target: "/b",
		mode: "rshared,ro,z",
		readonly: true,
		propagation: "rshared",
		createSource: true,
	});
	expect(named).toMatchObject({
		type: "volume",
		name: "data",
		source: "/v/data",
		mode: "ro,nocopy",
		readonly: true,
		copy: false,
		propagation: "",
	});
	expect(bare).toMatchObject({ name: "more", mode: "z", readonly: false, copy: true });
	expect(anonymous).toMatchObject({ type: "volume", target: "/a", anonymous: true });
	expect(anonymous?.name).toMatch(ID);
});

test("mounts of every type", () => {
	const volume = {
		Source: "data",
		VolumeOptions: {
			NoCopy: true,
			Labels: { a: "1" },
			Subpath: "x/y",
			DriverConfig: { Name: "local", Options: { o: "ro" } },
		},
	};
	expect(points(mount(volume))[0]).toMatchObject({
		name: "data",
		mode: "z",
		copy: false,
		subpath: "x/y",
		create: { driver: "local", options: { o: "ro" }, labels: { a: "1" } },
	});
	expect(points(mount({}))[0]).toMatchObject({ anonymous: true, mode: "z", copy: true });
	expect(points(mount({ Type: "image", Source: "app", ImageOptions: { Subpath: "etc" } }))[0]).toMatchObject({
		type: "image",
		name: "app",
		source: "/layers/2",
		readonly: true,
		subpath: "etc",
		image: { id: "sha256:app", chain: ["sha256:base", "sha256:top"] },
	});
	const options = { SizeBytes: 1024, Mode: 0o700, Options: [["exec"]] };
	expect(points(mount({ Type: "tmpfs", ReadOnly: true, TmpfsOptions: options }))[0]).toMatchObject({
		type: "tmpfs",
		source: "",
		readonly: true,
		options: ["nosuid", "nodev", "ro", "size=1024", "mode=700", "exec"],
	});
	const bind = { Propagation: "rslave", NonRecursive: true, ReadOnlyForceRecursive: true, CreateMountpoint: true };
	expect(points(mount({ Type: "bind", Source: "/s", ReadOnly: true, BindOptions: bind }))[0]).toMatchObject({
		propagation: "rslave",
		nonRecursive: true,
		submounts: "force-readonly",
		createSource: true,
	});
});

test("declared volumes are anonymous ones where nothing else is mounted", () => {
	const found = points({ Binds: ["data:/data"], Tmpfs: { "/tmp/": "" } }, ["/data/", "/tmp", "/logs"]);
	expect(found.map(({ target, name }) => [target, name?.length])).toEqual([
		["/data", 4],
		["/logs", 64],
	]);
	expect(found[1]).toMatchObject({ mode: "", anonymous: true, declared: true, copy: true });
});

test("volumes-from takes another container's mounts, read-only on request, never copies, and gives way to one's own", () => {
	const found = points({ VolumesFrom: ["other:ro"], Binds: ["mine:/conf"] });
	expect(found[0]).toMatchObject({
		name: "anon",
		target: "/data",
		readonly: true,
		copy: false,
		anonymous: true,
		mode: "",
	});
	expect(found[1]).toMatchObject({ name: "mine", target: "/conf" });
	expect(found).toHaveLength(2);
	expect(points({ VolumesFrom: ["other"] }).map(({ readonly }) => readonly)).toEqual([false, true]);
});

test("tmpfs: what is asked takes the place of a default", () => {
	expect(tmpfsOptions("")).toEqual(["noexec", "nosuid", "nodev"]);
	expect(tmpfsOptions("exec,size=1m")).toEqual(["nosuid", "nodev", "exec", "size=1m"]);
});

test.each<[string, Partial<HostConfig>]>([
	["invalid volume specification: '/x:'", { Binds: ["/x:"] }],
	["invalid volume specification: '/a:/b:ro:z'", { Binds: ["/a:/b:ro:z"] }],
	["invalid mode: bogus", { Binds: ["data:/x:bogus"] }],
	["invalid mode: z,Z", { Binds: ["data:/x:z,Z"] }],
	[
		"'data:/x:rshared': invalid mount config for type \"volume\": field BindOptions must not be specified",
		{ Binds: ["data:/x:rshared"] },
	],
	[
		"'/a:/x:nocopy': invalid mount config for type \"bind\": field VolumeOptions must not be specified",
		{ Binds: ["/a:/x:nocopy"] },
	],
	[
		"invalid mount config for type \"volume\": invalid mount path: 'x' mount path must be absolute",
		{ Binds: ["data:x"] },
	],
	["create a: volume name is too short", { Binds: ["a:/x"] }],
	["Duplicate mount point: /x", { Binds: ["data:/x"], Mounts: [{ Type: "tmpfs", Target: "/x/" }] }],
	["Duplicate mount point: /x", { Binds: ["data:/x"], Tmpfs: { "/x": "" } }],
	["invalid mount path: 'x' mount path must be absolute", { Tmpfs: { x: "" } }],
	[
		"subpath must be a relative path within the volume",
		mount({ Source: "data", VolumeOptions: { Subpath: "a/../../b" } }),
	],
	["subpath must be a relative path within the volume", mount({ Source: "data", VolumeOptions: { Subpath: "/b" } })],
	["must not set Subpath when using anonymous volumes", mount({ VolumeOptions: { Subpath: "b" } })],
	['create /abs: "/abs" includes invalid characters', mount({ Source: "/abs" })],
	['BindOptions must not be specified on mount type "volume"', mount({ BindOptions: {} })],
	['VolumeOptions must not be specified on mount type "tmpfs"', mount({ Type: "tmpfs", VolumeOptions: {} })],
	[
		'invalid mount config for type "bind": field ImageOptions must not be specified',
		mount({ Type: "bind", Source: "/s", ImageOptions: {} }),
	],
	['invalid mount config for type "image": field Source must not be empty', mount({ Type: "image" })],
	[
		'invalid mount config for type "tmpfs": invalid option: uid',
		mount({ Type: "tmpfs", TmpfsOptions: { Options: [["uid", "5"]] } }),
	],
	["invalid option array length", mount({ Type: "tmpfs", TmpfsOptions: { Options: [["a", "b", "c"]] } })],
	[
		"mount options conflict: ReadOnlyNonRecursive && ReadOnlyForceRecursive",
		mount({
			Type: "bind",
			Source: "/s",
			ReadOnly: true,
			BindOptions: { ReadOnlyNonRecursive: true, ReadOnlyForceRecursive: true },
		}),
	],
	[
		"mount options conflict: !ReadOnly && BindOptions.ReadOnlyNonRecursive",
		mount({ Type: "bind", Source: "/s", BindOptions: { ReadOnlyNonRecursive: true } }),
	],
	[
		"mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive",
		mount({ Type: "bind", Source: "/s", BindOptions: { ReadOnlyForceRecursive: true } }),
	],
	["must not set ReadOnly mode when using anonymous volumes", mount({ ReadOnly: true })],
	['invalid tmpfs option "exec"', mount({ Type: "tmpfs", TmpfsOptions: { Options: [["exec", "y"]] } })],
	["invalid mode: cached,delegated", { Binds: ["/a:/x:cached,delegated"] }],
	['invalid name or ID supplied: ""', { VolumesFrom: [":ro"] }],
	["volumes-from specification cannot be an empty string", { VolumesFrom: [""] }],
	["invalid mode: rshared", { VolumesFrom: ["other:rshared"] }],
	["invalid mode: nocopy", { VolumesFrom: ["other:nocopy"] }],
])("refused as docker does: %s", (text, host) => {
	expect(() => mountsAsked(hostConfig(host))).toThrow(text);
});

test("a container to take volumes from that is not there makes the request wrong", () => {
	const error = (() => {
		try {
			points({ VolumesFrom: ["nope"] });
		} catch (thrown) {
			return thrown;
		}
	})();
	expect(error).toMatchObject({ code: "invalid", message: "No such container: nope" });
});
