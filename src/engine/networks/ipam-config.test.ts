import { expect, test } from "bun:test";
import { formatIpv4 } from "../../shared/ip.ts";
import { bridgeSettings } from "./bridge-options.ts";
import { addressPlan, addressPlan6, checkPools, type PoolRequest } from "./ipam-config.ts";

test.each<[string, PoolRequest]>([
	["invalid subnet : invalid CIDR block notation", { Gateway: "10.9.0.1" }],
	["invalid subnet abc: invalid CIDR block notation", { Subnet: "abc" }],
	["invalid subnet 10.9.0.0/33: invalid CIDR block notation", { Subnet: "10.9.0.0/33" }],
	["invalid subnet 10.9.0.1/24: it should be 10.9.0.0/24", { Subnet: "10.9.0.1/24" }],
	["invalid gateway x: invalid address", { Subnet: "10.9.0.0/24", Gateway: "x" }],
	[
		"invalid gateway 10.8.0.1: parent subnet 10.9.0.0/24 doesn't contain this address",
		{ Subnet: "10.9.0.0/24", Gateway: "10.8.0.1" },
	],
	["invalid ip-range 10.9.0.3/25: it should be 10.9.0.0/25", { Subnet: "10.9.0.0/24", IPRange: "10.9.0.3/25" }],
	[
		"invalid ip-range 10.8.0.0/25: parent subnet 10.9.0.0/24 doesn't contain ip-range",
		{ Subnet: "10.9.0.0/24", IPRange: "10.8.0.0/25" },
	],
	[
		"invalid auxiliary address a: parent subnet 10.9.0.0/24 doesn't contain this address",
		{ Subnet: "10.9.0.0/24", AuxiliaryAddresses: { a: "10.8.0.0" } },
	],
])("a pool is refused: %s", (text, pool) => {
	expect(() => checkPools([pool])).toThrow(`invalid network config:\n${text}`);
});

test("several faults of a pool are told together", () => {
	const pool = { Subnet: "10.9.0.1/24", Gateway: "x" };
	expect(() => checkPools([pool])).toThrow(
		"invalid network config:\n* invalid subnet 10.9.0.1/24: it should be 10.9.0.0/24\n* invalid gateway x: invalid address",
	);
});

test("addressPlan() refuses two uses of one address in docker's words", () => {
	const Subnet = "10.9.0.0/24";
	expect(() => addressPlan({ Subnet, Gateway: "10.9.0.0" })).toThrow(
		"failed to allocate gateway (10.9.0.0): Address already in use",
	);
	expect(() => addressPlan({ Subnet, Gateway: "10.9.0.9", AuxiliaryAddresses: { x: "10.9.0.9" } })).toThrow(
		"failed to allocate secondary ip address (x:10.9.0.9): Address already in use",
	);
	const plan = addressPlan({ Subnet, IPRange: "10.9.0.128/25", AuxiliaryAddresses: { x: "10.9.0.130" } });
	expect([plan.gateway, plan.range?.prefixLength, plan.reserved?.map(formatIpv4)]).toEqual([
		undefined,
		25,
		["10.9.0.130"],
	]);
});

const BRIDGE = "com.docker.network.bridge";
const MTU = "com.docker.network.driver.mtu";

test.each<[string, Record<string, string>]>([
	[
		`${BRIDGE}.enable_icc value: zz (strconv.ParseBool: parsing "zz": invalid syntax)`,
		{ [`${BRIDGE}.enable_icc`]: "zz" },
	],
	[`${MTU} value: zz (strconv.Atoi: parsing "zz": invalid syntax)`, { [MTU]: "zz" }],
	["invalid MTU number: -1", { [MTU]: "-1" }],
	[`${BRIDGE}.gateway_mode_ipv4 value: zz (unknown gateway mode zz)`, { [`${BRIDGE}.gateway_mode_ipv4`]: "zz" }],
	["'isolated' can only be used for an internal network", { [`${BRIDGE}.gateway_mode_ipv4`]: "isolated" }],
	[`${BRIDGE}.host_binding_ipv4 value: zz (nil ip)`, { [`${BRIDGE}.host_binding_ipv4`]: "zz" }],
	['invalid bridge name "longer-than-linux-takes"', { [`${BRIDGE}.name`]: "longer-than-linux-takes" }],
	['invalid bridge name "a/b"', { [`${BRIDGE}.name`]: "a/b" }],
	['invalid bridge name "x\\",\\"eth0"', { [`${BRIDGE}.name`]: 'x","eth0' }],
	['invalid bridge name "eth*"', { [`${BRIDGE}.name`]: "eth*" }],
	['invalid bridge name "a\\\\b"', { [`${BRIDGE}.name`]: "a\\b" }],
	['invalid bridge name "a\\u0000b"', { [`${BRIDGE}.name`]: "a\0b" }],
	['invalid bridge name "-x"', { [`${BRIDGE}.name`]: "-x" }],
	[
		"com.docker.network.bridge.host_binding_ipv6 value: 1.2.3.4 (nil ip)",
		{ [`${BRIDGE}.host_binding_ipv6`]: "1.2.3.4" },
	],
	[
		"com.docker.network.bridge.gateway_mode_ipv6 value: zz (unknown gateway mode zz)",
		{ [`${BRIDGE}.gateway_mode_ipv6`]: "zz" },
	],
])("an option is refused: %s", (text, options) => {
	expect(() => bridgeSettings(options, false)).toThrow(text);
});

test("options say what the bridge does; unknown ones are the user's own", () => {
	expect(bridgeSettings({ foo: "bar" }, false)).toEqual({
		icc: true,
		masquerade: true,
		masquerade6: true,
		hostBinding: "",
		hostBinding6: "",
		inhibitIpv4: false,
		gatewayMode: "nat",
		gatewayMode6: "nat",
		outbound: false,
		allowed: [],
		bigTcp: false,
		linkPrefix: "eth",
	});
	const routed = { [`${BRIDGE}.gateway_mode_ipv4`]: "routed", [`${BRIDGE}.enable_icc`]: "0", [MTU]: "1400" };
	expect(bridgeSettings(routed, false)).toMatchObject({
		icc: false,
		masquerade: false,
		mtu: 1400,
		gatewayMode: "routed",
	});
	const named = { [`${BRIDGE}.name`]: "mine0", [`${BRIDGE}.host_binding_ipv4`]: "127.0.0.1" };
	expect(bridgeSettings(named, false)).toMatchObject({ name: "mine0", hostBinding: "127.0.0.1" });
	expect(bridgeSettings({ [`${BRIDGE}.gateway_mode_ipv4`]: "isolated" }, true).gatewayMode).toBe("isolated");
});

test.each([
	["invalid subnet fd77:4::1/64: it should be fd77:4::/64", { Subnet: "fd77:4::1/64" }],
	["invalid subnet fd77::/129: invalid CIDR block notation", { Subnet: "fd77::/129" }],
	[
		"invalid gateway fd78::1: parent subnet fd77:4::/64 doesn't contain this address",
		{ Subnet: "fd77:4::/64", Gateway: "fd78::1" },
	],
	[
		"invalid gateway 10.0.0.1: parent subnet fd77:4::/64 doesn't contain this address",
		{ Subnet: "fd77:4::/64", Gateway: "10.0.0.1" },
	],
	[
		"invalid ip-range fd78::/80: parent subnet fd77:4::/64 doesn't contain ip-range",
		{ Subnet: "fd77:4::/64", IPRange: "fd78::/80" },
	],
])("an IPv6 pool is refused: %s", (text, pool) => {
	expect(() => checkPools([pool])).toThrow(`invalid network config:\n${text}`);
});

test("addressPlan6() reads gateway, range and others' addresses, and refuses two uses of one", () => {
	const pool = {
		Subnet: "fd00::/64",
		Gateway: "fd00::9",
		IPRange: "fd00::100/120",
		AuxiliaryAddresses: { a: "fd00::5" },
	};
	expect(addressPlan6(pool)).toMatchObject({ gateway: (0xfd00n << 112n) + 9n, reserved: [(0xfd00n << 112n) + 5n] });
	const twice = { ...pool, AuxiliaryAddresses: { a: "fd00::9" } };
	expect(() => addressPlan6(twice)).toThrow(
		"failed to allocate secondary ip address (a:fd00::9): Address already in use",
	);
});
