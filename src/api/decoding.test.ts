import { expect, test } from "bun:test";
import { decodeCreate } from "./containers/schema.ts";
import { statusText } from "./containers/status.ts";
import { inspectView, summaryView } from "./containers/view.ts";
import { DetachScanner, parseDetachKeys } from "./detach-keys.ts";
import { humanDuration } from "./durations.ts";
import { filtersOf, matchesLabel } from "./filters.ts";
import { boolOf, tailOf, timeOf } from "./query.ts";
import { fakeRecord } from "./testing/fakes.ts";
import { encodeNames, splitVersion } from "./version.ts";

const create = (body: unknown) => decodeCreate(body, "Config");

test("create takes every zero value the docker CLI sends", () => {
	const zero = { IPAMConfig: null, Links: null, Aliases: null, MacAddress: "", DriverOpts: null, GwPriority: 0 };
	const body = {
		Env: null,
		Cmd: ["true"],
		Image: "busybox",
		Healthcheck: { Test: ["NONE"] },
		OnBuild: null,
		HostConfig: {
			LogConfig: { Type: "", Config: {} },
			NetworkMode: "default",
			VolumesFrom: null,
			BlkioDeviceReadBps: [],
			MemorySwappiness: -1,
			OomKillDisable: false,
			Isolation: "",
			ConsoleSize: [0, 0],
			IpcMode: "",
		},
		NetworkingConfig: { EndpointsConfig: { default: zero } },
	};
	const { config, hostConfig } = create(body);
	expect(config).toMatchObject({ Cmd: ["true"], Env: [], Entrypoint: null });
	expect(config.Healthcheck).toEqual({ Test: ["NONE"] });
	expect(hostConfig).toMatchObject({
		PortBindings: null,
		IpcMode: "",
		NetworkMode: "bridge",
		LogConfig: { Type: "json-file" },
		Binds: null,
	});
});

test("links of the host config are the default network's alone; other networks have theirs per endpoint", () => {
	const HostConfig = { Links: ["db:database"] };
	const onBridge = create({ Image: "a", HostConfig });
	expect(onBridge.networks).toEqual([{ networkName: "bridge", links: ["db:database"] }]);
	const compose = { EndpointsConfig: { shop: { Links: ["db:own"] } } };
	const onOther = create({ Image: "a", HostConfig: { ...HostConfig, NetworkMode: "shop" }, NetworkingConfig: compose });
	expect(onOther.networks).toEqual([{ networkName: "shop", links: ["db:own"] }]);
	expect(() => create({ Image: "a", HostConfig: { Links: ["a:b:c"] } })).toThrow("bad format for links: a:b:c");
	const record = fakeRecord("web", { status: "created" }, { HostConfig });
	const view = inspectView(record, { data: "/data", root: {} }, "overlay2");
	expect(view.HostConfig.Links).toEqual(["/db:/web/database"]);
});

test("what means nothing on Linux is taken and kept, and shown as docker does", () => {
	const asked = { ArgsEscaped: true, NetworkDisabled: true, OnBuild: ["RUN x"], Shell: ["sh"], StopSignal: "" };
	const empty = { Mounts: [], Tmpfs: {}, Sysctls: {}, Annotations: {}, KernelMemory: 5, CpuCount: 1, Cgroup: "x" };
	const { config, hostConfig } = create({ Image: "a", ...asked, ExposedPorts: {}, HostConfig: empty });
	expect(config).toMatchObject({ ArgsEscaped: true, NetworkDisabled: true, OnBuild: ["RUN x"], Shell: ["sh"] });
	expect(["StopSignal", "ExposedPorts"].filter((name) => name in config)).toEqual([]);
	const left = ["Mounts", "Tmpfs", "Sysctls", "Annotations", "KernelMemory"];
	expect(left.filter((name) => name in hostConfig)).toEqual([]);
	const record = { ...fakeRecord("web", { status: "created" }), config, hostConfig };
	const view = inspectView(record, { data: "/data", root: {} }, "overlay2");
	expect(view.HostConfig).toMatchObject({ CpuCount: 1, Cgroup: "x", BlkioDeviceReadBps: null });
	expect([view.Config.OnBuild, view.NetworkSettings.Networks]).toEqual([["RUN x"], {}]);
});

test("a container that is asked to have a MAC address shows it where clients of any age look", () => {
	const EndpointsConfig = { bridge: { MacAddress: "02:00:00:00:00:01" } };
	const { networks } = create({ Image: "a", NetworkingConfig: { EndpointsConfig } });
	const record = { ...fakeRecord("web", { status: "created" }), networks };
	const view = inspectView(record, { data: "/data", root: {} }, "overlay2");
	const { NetworkSettings, Config } = view;
	const shown = [Config.MacAddress, NetworkSettings.MacAddress, NetworkSettings.Networks.bridge?.MacAddress];
	expect(shown).toEqual(Array(3).fill("02:00:00:00:00:01"));
	const ended = { ...record, network: { sandboxId: "", endpoints: [], ports: [] } };
	expect(inspectView(ended, { data: "/data", root: {} }, "overlay2").NetworkSettings.Networks.bridge?.MacAddress).toBe(
		"",
	);
});

test.each([
	[
		{ DeviceRequests: [{ Driver: "nvidia", Count: -1, Capabilities: [["gpu", "x"]] }] },
		'could not select device driver "nvidia" with capabilities: [[gpu x]]',
	],
	[{ IOMaximumBandwidth: 1 }, "invalid option: QoS maximum bandwidth configuration is not supported on linux"],
	[{ Annotations: { "": "x" } }, "invalid Annotations: the empty string is not permitted as an annotation key"],
	[{ ConsoleSize: [-1, 1] }, "cannot unmarshal number -1 into Go struct field"],
	[{ BlkioDeviceReadBps: [{ Path: "/dev/a", Rate: -1 }] }, "of type uint64"],
	[{ NetworkMode: "container" }, "invalid container format container:<name|id>"],
	[{ DeviceRequests: "x" }, "cannot unmarshal string into Go struct field"],
])("create refuses in docker's words: %j", (HostConfig, text) => {
	expect(() => create({ Image: "a", HostConfig })).toThrow(text);
});

test("an endpoint without a config is refused by name", () => {
	const NetworkingConfig = { EndpointsConfig: { front: null } };
	expect(() => create({ Image: "a", NetworkingConfig })).toThrow(
		"invalid config for network front: EndpointsConfig is nil",
	);
});

test("create refuses what has an effect and is not there, by name and value", () => {
	const cases: [unknown, string][] = [
		[{ HostConfig: { LogConfig: { Type: "gelf" } } }, 'error looking up logging plugin gelf: plugin "gelf" not found'],
		[{ HostConfig: { Mounts: [{ Type: "cluster" }] } }, 'invalid mount config for type "cluster": mount type unknown'],
		[{ HostConfig: { RestartPolicy: { Name: "often" } } }, "unknown policy 'often'"],
		[{ HostConfig: { AutoRemove: true, RestartPolicy: { Name: "always" } } }, "can't create 'AutoRemove'"],
		[{ NetworkingConfig: { EndpointsConfig: { n: { Aliases: [1] } } } }, "EndpointsConfig.n.Aliases[0] of type string"],
		[{ HostConfig: { LogConfig: { Type: "x" } } }, 'error looking up logging plugin x: plugin "x" not found'],
		[{ HostConfig: { PidMode: "x" } }, "invalid PID mode: x"],
		[{ HostConfig: { CgroupnsMode: "x" } }, "invalid cgroup namespace mode: x"],
		[{ HostConfig: { Isolation: "x" } }, "invalid isolation (x): linux only supports 'default'"],
		[{ HostConfig: { Mounts: [{ Type: "x" }] } }, 'invalid mount config for type "x": mount type unknown'],
		[{ HostConfig: { RestartPolicy: { Name: "no", MaximumRetryCount: -1 } } }, "and cannot be negative"],
		[{}, "config cannot be empty in order to create a container"],
		[{ StopTimeout: 1.5 }, "Config.StopTimeout of type int64"],
		[{ Labels: { __proto__: null, a: 1 } }, "Config.Labels.a of type string"],
	];
	for (const [body, text] of cases) expect(() => create(body)).toThrow(text);
});

test("filters come in both forms", () => {
	const of = (text: string) => filtersOf(new URLSearchParams({ filters: text }), ["label"]);
	expect(of('{"label":["a","b"]}').get("label")).toEqual(["a", "b"]);
	expect(of('{"label":{"a":true,"b":false}}').get("label")).toEqual(["a"]);
	expect(of("null").has("label")).toBe(false);
	expect(() => of('{"x":["a"]}')).toThrow("invalid filter 'x'");
	for (const bad of ["{", "[]", '{"label":1}', '{"label":[1]}']) expect(() => of(bad)).toThrow("invalid filters");
	expect(matchesLabel({ a: "b=c" }, "a=b=c")).toBe(true);
	expect(matchesLabel({}, "constructor")).toBe(false);
});

test("query values read as docker's", () => {
	const of = (value: string) => new URLSearchParams({ v: value, tail: value });
	for (const no of ["", "0", "no", "False", "none"]) expect(boolOf(of(no), "v")).toBe(false);
	for (const yes of ["1", "true", "x"]) expect(boolOf(of(yes), "v")).toBe(true);
	expect(timeOf(of("1700000000.5"), "v")).toBe(1_700_000_000_500_000_000n);
	expect(timeOf(of("2026-01-01T00:00:00.000000001Z"), "v")).toBe(1_767_225_600_000_000_001n);
	expect(() => timeOf(of("soon"), "v")).toThrow("invalid value for v");
	expect([tailOf(of("all")), tailOf(of("5")), tailOf(of("-1"))]).toEqual([undefined, 5, undefined]);
});

test("detach keys are found across chunks, and half a sequence is passed on", () => {
	expect([...parseDetachKeys("a,ctrl-@,ctrl-[")]).toEqual([97, 0, 27]);
	const scanner = new DetachScanner(parseDetachKeys(""));
	expect(scanner.push(Uint8Array.of(1, 16))).toEqual({ pass: Uint8Array.of(1), detached: false });
	expect(scanner.push(Uint8Array.of(16, 5))).toEqual({ pass: Uint8Array.of(16, 16, 5), detached: false });
	scanner.push(Uint8Array.of(16));
	expect(scanner.push(Uint8Array.of(17, 9)).detached).toBe(true);
});

test("versions and image names in paths", () => {
	expect(splitVersion("/v1.30/info?x")).toEqual({ minor: 30, rest: "/info?x" });
	expect(splitVersion("/info")).toEqual({ minor: 51, rest: "/info" });
	expect(encodeNames("/images/a/b/get?x=/")).toBe("/images/a%2Fb/get?x=/");
	expect(encodeNames("/images/a/b")).toBe("/images/a%2Fb");
	expect(encodeNames("/networks/a/b/get/connect")).toBe("/networks/a%2Fb%2Fget/connect");
	expect(encodeNames("/containers/a/b?force=1")).toBe("/containers/a%2Fb?force=1");
	expect(encodeNames("/containers/a/b/json?size=1")).toBe("/containers/a%2Fb/json?size=1");
	for (const path of [
		"/containers/a/json",
		"/containers/a/attach/ws",
		"/containers/json",
		"/containers/a/b/c",
		"/containers/a",
	])
		expect(encodeNames(path)).toBe(path);
});

test("status texts are docker's", () => {
	const at = (seconds: number) => new Date(seconds * 1000).toISOString();
	const ended = { exitCode: 2, oomKilled: false, startedAt: at(0), finishedAt: at(0) };
	expect(statusText({ status: "running", pid: 1, startedAt: at(0) }, 5000)).toBe("Up 5 seconds");
	expect(statusText({ status: "paused", pid: 1, startedAt: at(0) }, 120_000)).toBe("Up 2 minutes (Paused)");
	expect(statusText({ status: "exited", ...ended }, 3_600_000)).toBe("Exited (2) About an hour ago");
	expect(statusText({ status: "restarting", ...ended }, 3000)).toBe("Restarting (2) 3 seconds ago");
	expect([0, 1000, 60_000, 49 * 3_600_000].map(humanDuration)).toEqual([
		"Less than a second",
		"1 second",
		"About a minute",
		"2 days",
	]);
});

test("views show ports, networks, and the legacy fields", () => {
	const record = fakeRecord(
		"web",
		{ status: "running", pid: 7, startedAt: new Date().toISOString() },
		{ ExposedPorts: { "80/tcp": {}, "53/udp": {} } },
	);
	record.network = {
		sandboxId: "s",
		endpoints: [{ networkName: "bridge", networkId: "n", endpointId: "e", ipAddress: "172.30.0.2", prefixLength: 16 }],
		ports: [{ protocol: "tcp", containerPort: 80, hostIp: "0.0.0.0", hostPort: 8080 }],
	};
	expect(summaryView(record, Date.now(), "busybox").Ports).toEqual([
		{ IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp" },
		{ PrivatePort: 53, Type: "udp" },
	]);
	const view = inspectView(record, { data: "/d", root: { UpperDir: "/u" } }, "overlay2");
	expect(view.NetworkSettings.Ports).toEqual({ "80/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080" }], "53/udp": null });
	expect(view.GraphDriver).toEqual({ Data: { UpperDir: "/u" }, Name: "overlay2" });
	expect(view.NetworkSettings.IPAddress).toBe("172.30.0.2");
	expect(view.State).toMatchObject({ Running: true, Pid: 7, ExitCode: 0, FinishedAt: "0001-01-01T00:00:00Z" });
});
