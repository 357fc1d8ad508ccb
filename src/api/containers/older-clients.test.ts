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

test("the old place of the MAC address is warned of since 1.44", () => {
	const old = asked({}, { MacAddress: "02:42:00:00:00:01" });
	expect(asOfVersion(old, 43).warnings).toEqual([]);
	expect(asOfVersion(old, 44).warnings).toHaveLength(1);
});
