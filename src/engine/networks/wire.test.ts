import { expect, test } from "bun:test";
import type { NetworkRow } from "../../store/networks.ts";
import { checkWire, wireSettings } from "./wire.ts";

const ID = "0123456789abcdef";

test("the mode and the parent are read off the options, as docker names them", () => {
	expect(wireSettings("ipvlan", ID, { parent: "eth0.10", ipvlan_mode: "l3s", ipvlan_flag: "vepa" })).toEqual({
		wire: { driver: "ipvlan", mode: "l3s", flag: "vepa" },
		routed: true,
		parent: "eth0.10",
		make: { kind: "vlan", of: "eth0", id: 10 },
	});
	expect(wireSettings("ipvlan", ID, {})).toMatchObject({
		wire: { driver: "ipvlan", mode: "l2", flag: "bridge" },
		...{ routed: false, parent: "di-0123456789ab", make: { kind: "dummy" } },
	});
	expect(wireSettings("macvlan", ID, { macvlan_mode: "vepa", parent: "eth1" })).toEqual({
		wire: { driver: "macvlan", mode: "vepa" },
		...{ routed: false, parent: "eth1" },
	});
	expect(wireSettings("macvlan", ID, {}).parent).toBe("dm-0123456789ab");
});

test.each([
	[{ ipvlan_mode: "l4" }, "requested ipvlan mode 'l4' is not valid, 'l2' mode is the ipvlan driver default"],
	[{ ipvlan_flag: "x" }, "requested ipvlan flag 'x' is not valid, 'bridge' is the ipvlan driver default"],
])("%p is refused in docker's words", (options, text) => {
	expect(() => wireSettings("ipvlan", ID, options)).toThrow(text);
});

test("of ipvlan networks each has a wire of its own; those of macvlan share theirs with each other", () => {
	const row = (driver: "ipvlan" | "macvlan"): NetworkRow => ({
		...{ id: ID, name: "one", driver, created: "", subnet: null, bridge: null },
		config: {
			...{ internal: false, attachable: false, subnetAsked: false, labels: {}, options: { parent: "eth0" } },
			ipam: { driver: "default", options: null, config: [] },
		},
	});
	const settings = (driver: "ipvlan" | "macvlan") => wireSettings(driver, "fedcba", { parent: "eth0" });
	const text = "network di-0123456789ab is already using parent interface eth0";
	expect(() => checkWire(settings("ipvlan"), [row("ipvlan")], true)).toThrow(text);
	checkWire(settings("ipvlan"), [row("macvlan")], true);
	checkWire(settings("macvlan"), [row("macvlan"), row("ipvlan")], true);
	expect(() => checkWire(settings("ipvlan"), [], false)).toThrow("invalid subinterface vlan name eth0");
});
