import { expect, test } from "bun:test";
import { warningsOf, withDefaults } from "./defaults.ts";
import { MASKED_PATHS } from "./spec.ts";
import { hostConfig } from "./testing/fakes.ts";

test("what a client left open is decided as docker does", () => {
	expect(withDefaults(hostConfig(), 1, "crun")).toMatchObject({
		ShmSize: 67108864,
		MemorySwap: 0,
		PidsLimit: null,
		IpcMode: "private",
		CgroupnsMode: "host",
		SecurityOpt: null,
		MaskedPaths: [...MASKED_PATHS],
	});
	expect(withDefaults(hostConfig(), 2, "crun").CgroupnsMode).toBe("private");
});

test("what a client gave stays", () => {
	const asked = { ShmSize: 5, Memory: 10, MemorySwap: -1, PidsLimit: 7, CgroupnsMode: "private", MaskedPaths: [] };
	expect(withDefaults(hostConfig(asked), 1, "crun")).toMatchObject(asked);
});

test("swap is as much again as memory; no limit of pids is null", () => {
	expect(withDefaults(hostConfig({ Memory: 20, PidsLimit: -1 }), 1, "crun")).toMatchObject({
		MemorySwap: 40,
		PidsLimit: null,
	});
});

test("a privileged container has nothing masked and no label, also where it was given one option", () => {
	const host = withDefaults(hostConfig({ Privileged: true, SecurityOpt: ["seccomp=unconfined"] }), 1, "crun");
	expect(host).toMatchObject({ MaskedPaths: null, SecurityOpt: ["seccomp=unconfined", "label=disable"] });
	const labelled = hostConfig({ PidMode: "host", SecurityOpt: ["label:disable"] });
	expect(withDefaults(labelled, 1, "crun").SecurityOpt).toEqual(["label:disable"]);
	expect(withDefaults(hostConfig({ IpcMode: "host" }), 1, "crun").SecurityOpt).toEqual(["label=disable"]);
});

test("ports that host mode leaves unpublished are told", () => {
	const PortBindings = { "80/tcp": [{ HostIp: "", HostPort: "80" }] };
	expect(warningsOf(hostConfig({ NetworkMode: "host", PortBindings }))).toEqual([
		"Published ports are discarded when using host network mode",
	]);
	expect(warningsOf(hostConfig({ PortBindings }))).toEqual([]);
	expect(warningsOf(hostConfig({ NetworkMode: "host", PortBindings: {} }))).toEqual([]);
});

test("a container is stored with its runtime", () => {
	expect(withDefaults(hostConfig(), 1, "crun").Runtime).toBe("crun");
	expect(withDefaults(hostConfig({ Runtime: "runc" }), 1, "crun").Runtime).toBe("runc");
});
