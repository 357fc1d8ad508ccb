import type { ParentSpec, Wire } from "../../drivers/network/driver.ts";
import { EngineError } from "../../shared/errors.ts";
import type { NetworkRow } from "../../store/networks.ts";

/** What the options of a macvlan or ipvlan network mean. */
export interface WireSettings {
	readonly wire: Wire;
	readonly parent: string;
	/** How the parent is made where it is not there: `eth0.10`, or none named. */
	readonly make?: NonNullable<ParentSpec["make"]>;
	/** Members send straight out of their interface: the kernel routes, there is no gateway to ask for. */
	readonly routed: boolean;
}

const MACVLAN_MODES = ["bridge", "private", "vepa", "passthru"] as const;
const IPVLAN_MODES = ["l2", "l3", "l3s"] as const;
const IPVLAN_FLAGS = ["bridge", "private", "vepa"] as const;

/** Whether endpoints of such a network share the wire of an interface. */
export function isWire(driver: string): driver is Wire["driver"] {
	return driver === "macvlan" || driver === "ipvlan";
}

/** Reads docker's options; "invalid" in docker's words. `id` names the interface of a network without a parent. */
export function wireSettings(
	driver: Wire["driver"],
	id: string,
	options: Readonly<Record<string, string>>,
): WireSettings {
	const wire = wireOf(driver, options);
	const routed = wire.driver === "ipvlan" && wire.mode !== "l2";
	const parent = options.parent ?? "";
	if (parent === "") return { wire, routed, parent: dummyName(driver, id), make: { kind: "dummy" } };
	const dot = parent.lastIndexOf(".");
	const vlan = Number(parent.slice(dot + 1));
	if (dot < 1 || !/^\d+$/.test(parent.slice(dot + 1))) return { wire, routed, parent };
	return { wire, routed, parent, make: { kind: "vlan", of: parent.slice(0, dot), id: vlan } };
}

function dummyName(driver: Wire["driver"], id: string): string {
	return `${driver === "ipvlan" ? "di" : "dm"}-${id.slice(0, 12)}`;
}

function wireOf(driver: Wire["driver"], options: Readonly<Record<string, string>>): Wire {
	if (driver === "macvlan") {
		const other = "'bridge' mode is the macvlan driver default";
		return { driver, mode: chosen(MACVLAN_MODES, "macvlan mode", options.macvlan_mode, "bridge", other) };
	}
	const { ipvlan_mode: mode, ipvlan_flag: flag } = options;
	return {
		driver,
		mode: chosen(IPVLAN_MODES, "ipvlan mode", mode, "l2", "'l2' mode is the ipvlan driver default"),
		flag: chosen(IPVLAN_FLAGS, "ipvlan flag", flag, "bridge", "'bridge' is the ipvlan driver default"),
	};
}

function chosen<T extends string>(
	known: readonly T[],
	what: string,
	asked: string | undefined,
	usual: T,
	hint: string,
): T {
	if (!asked) return usual;
	const found = known.find((one) => one === asked);
	if (!found) throw new EngineError("invalid", `requested ${what} '${asked}' is not valid, ${hint}`);
	return found;
}

/** Whether the network can be made beside these: a wire in macvlan's mode passthru is shared with nobody, one of ipvlan with no other network. */
export function checkWire(settings: WireSettings, others: readonly NetworkRow[], exists: boolean): void {
	const { parent, make, wire } = settings;
	if (!exists && !make) {
		throw new EngineError("invalid", `invalid subinterface vlan name ${parent}, example formatting is eth0.10`);
	}
	if (!exists && make?.kind === "vlan" && (make.id < 1 || make.id > 4094)) {
		throw new EngineError("invalid", `vlan id must be between 1-4094, received: ${make.id}`);
	}
	for (const { id, driver, config } of others) {
		if (driver !== wire.driver) continue;
		const other = wireSettings(driver, id, config?.options ?? {});
		if (other.parent === parent) checkShared(settings, other, id);
	}
}

function checkShared({ wire, parent }: WireSettings, other: WireSettings, otherId: string): void {
	if (wire.driver === "ipvlan") {
		const text = `network ${dummyName("ipvlan", otherId)} is already using parent interface ${parent}`;
		throw new EngineError("internal", text);
	}
	const name = otherId.slice(0, 12);
	if (wire.mode === "passthru") {
		const text = `cannot use mode passthru, macvlan network ${name} is already using parent interface ${parent}`;
		throw new EngineError("conflict", text);
	}
	if (other.wire.mode === "passthru") {
		const text = `macvlan network ${name} is already using parent interface ${parent} in mode passthru`;
		throw new EngineError("conflict", text);
	}
}
