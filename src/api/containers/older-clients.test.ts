import { expect, test } from "bun:test";
import { asOfVersion } from "./older-clients.ts";
import { decodeCreate } from "./schema.ts";

const OPTION = "com.docker.network.endpoint.sysctls";
const asked = (HostConfig: object, more: object = {}) => decodeCreate({ Image: "a", HostConfig, ...more }, "Config");
const ETH0 = { "net.ipv4.conf.eth0.forwarding": "1", "net.ipv4.ip_forward": "1" };

test("before 1.48 eth0's sysctls become an option of the endpoint, with a warning", () => {
	const { request, warnings } = asOfVersion(asked({ Sysctls: ETH0 }), 47);
	expect(request.hostConfig.Sysctls).toEqual({ "net.ipv4.ip_forward": "1" });
	expect(request.networks).toEqual([
		{ networkName: "bridge", driverOpts: { [OPTION]: "net.ipv4.conf.IFNAME.forwarding=1" } },
	]);
	expect(warnings).toEqual([
		`Migrated sysctl "net.ipv4.conf.eth0.forwarding" to DriverOpts{"${OPTION}":"net.ipv4.conf.IFNAME.forwarding=1"}.`,
	]);
});

test("they are refused since, and those of other interfaces always", () => {
	expect(() => asOfVersion(asked({ Sysctls: ETH0 }), 48)).toThrow("interface specific sysctl setting");
	const eth1 = asked({ Sysctls: { "net.ipv6.conf.eth1.disable_ipv6": "1" } });
	expect(() => asOfVersion(eth1, 40)).toThrow("unable to determine network endpoint for sysctl");
	const host = asked({ NetworkMode: "host", Sysctls: ETH0 });
	expect(asOfVersion(host, 51)).toEqual({ request: host, warnings: [] });
});

const LATER = {
	Annotations: { a: "b" },
	KernelMemoryTCP: 5,
	ConsoleSize: [1, 2],
	Mounts: [
		{
			Type: "bind",
			Source: "/a",
			Target: "/b",
			ReadOnly: true,
			BindOptions: { NonRecursive: true, CreateMountpoint: true },
		},
	],
};

test("what came later than the client's version is left out", () => {
	const whole = asked(LATER, { Healthcheck: { Test: ["CMD", "x"], StartInterval: 5 } });
	expect(asOfVersion(whole, 51).request).toEqual(whole);
	const { config, hostConfig } = asOfVersion(whole, 39).request;
	expect(config.Healthcheck).toEqual({ Test: ["CMD", "x"] });
	expect(["Annotations", "KernelMemoryTCP"].filter((name) => name in hostConfig)).toEqual([]);
	expect(hostConfig).toMatchObject({ ConsoleSize: [0, 0], IpcMode: "shareable" });
	expect(hostConfig.Mounts?.[0]?.BindOptions).toEqual({ ReadOnlyNonRecursive: true });
	expect(asOfVersion(whole, 42).request.hostConfig.Mounts?.[0]?.BindOptions).toEqual({
		NonRecursive: true,
		CreateMountpoint: true,
		ReadOnlyNonRecursive: true,
	});
	const endpoints = { NetworkingConfig: { EndpointsConfig: { a: { GwPriority: 3 } } } };
	expect(asOfVersion(asked({}, endpoints), 47).request.networks).toEqual([{ networkName: "a" }]);
});

const mounted = (mount: object) => asked({ Mounts: [{ Source: "a", Target: "/b", ...mount }] });

test.each([
	[
		44,
		mounted({ Type: "bind", ReadOnly: true, BindOptions: { ReadOnlyForceRecursive: true } }),
		"BindOptions.ReadOnlyForceRecursive needs API v1.44",
	],
	[45, mounted({ Type: "volume", VolumeOptions: { Subpath: "x" } }), "VolumeOptions.Subpath needs API v1.45 or newer"],
	[48, mounted({ Type: "image" }), 'Mount type "Image" needs API v1.48 or newer'],
	[44, asked({}, { NetworkingConfig: { EndpointsConfig: { a: {}, b: {} } } }), "multiple network endpoints: a, b"],
])("what a container would be without it is refused before 1.%d", (minor, request, text) => {
	expect(() => asOfVersion(request, minor - 1)).toThrow(text);
	expect(asOfVersion(request, minor).warnings).toEqual([]);
});

test("the old place of the MAC address is warned of since 1.44", () => {
	const old = asked({}, { MacAddress: "02:42:00:00:00:01" });
	expect(asOfVersion(old, 43).warnings).toEqual([]);
	expect(asOfVersion(old, 44).warnings).toHaveLength(1);
});
