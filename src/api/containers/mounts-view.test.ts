import { expect, test } from "bun:test";
import type { MountPoint } from "../../engine/containers/record.ts";
import { fakeRecord } from "../testing/fakes.ts";
import { inspectView, summaryView } from "./view.ts";

const base = { mode: "", readonly: false, propagation: "" };
const mounts: MountPoint[] = [
	{ ...base, type: "bind", source: "/src", target: "/b", mode: "ro,z", readonly: true, propagation: "rprivate" },
	{ ...base, type: "volume", name: "data", source: "/v/data/_data", target: "/n", mode: "z", copy: true },
	{ ...base, type: "volume", name: "0a", source: "/v/0a/_data", target: "/a", anonymous: true, declared: true },
	{ ...base, type: "tmpfs", source: "", target: "/t", options: ["noexec"] },
	{ ...base, type: "image", name: "app", source: "/l/2", target: "/i", readonly: true, propagation: "rprivate" },
];
const record = { ...fakeRecord("web", { status: "created" }, { HostConfig: { VolumesFrom: ["x:ro"] } }), mounts };

test("inspect shows mounts with docker's fields, no more", () => {
	const view = inspectView(record, { data: "/data", root: {} }, "overlay2");
	expect(view.Mounts).toEqual([
		{ Type: "bind", Source: "/src", Destination: "/b", Mode: "ro,z", RW: false, Propagation: "rprivate" },
		{
			Type: "volume",
			Name: "data",
			Source: "/v/data/_data",
			Destination: "/n",
			Driver: "local",
			Mode: "z",
			RW: true,
			Propagation: "",
		},
		{
			Type: "volume",
			Name: "0a",
			Source: "/v/0a/_data",
			Destination: "/a",
			Driver: "local",
			Mode: "",
			RW: true,
			Propagation: "",
		},
		{ Type: "tmpfs", Source: "", Destination: "/t", Mode: "", RW: true, Propagation: "" },
		{ Type: "image", Name: "app", Source: "/l/2", Destination: "/i", Mode: "", RW: false, Propagation: "rprivate" },
	]);
	expect(view.HostConfig).toMatchObject({ VolumesFrom: ["x:ro"], VolumeDriver: "", BlkioWeightDevice: null });
});

test("a list leaves out where an anonymous volume lies", () => {
	const sources = summaryView(record, 0, "busybox").Mounts.map(({ Source }) => Source);
	expect(sources).toEqual(["/src", "/v/data/_data", "", "", "/l/2"]);
});
